"""The local stack: real Kafka, PostgreSQL and SMTP as children of one process, without Docker."""

from operations.stack.ports import Ports
from operations.stack.stack import PROGRAMS, Stack

__all__ = ["PROGRAMS", "Ports", "Stack"]
