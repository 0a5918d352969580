"""Plumbing that the four services share: registry, law, database, settings, telemetry, and the message core."""
