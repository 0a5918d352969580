"""Habeas in containers: what `docker-compose.yml` runs beside the services, and how a program outside joins it."""
