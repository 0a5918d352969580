"""How fast the workflow is, as a fraction of what Kafka itself allows on the machine: `python -m bench`."""
