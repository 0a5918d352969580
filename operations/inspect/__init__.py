"""What operators look at and act on: requests, dead letters, the cluster, commands to the services."""
