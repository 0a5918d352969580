"""The `habeas` command, the local stack and the demo: the one place that may import everything."""
