"""The names of the topics. Whose prefix a topic stands under says, with Kafka's ACLs, who may write there."""

from functools import cache

REQUESTS = "dsr.requests.v1"
PROGRESS = "dsr.progress.v1"
OUTCOMES = "dsr.outcomes.v1"
COMMANDS = "dsr.commands.v1"
DECISIONS = "dsr.decisions.v1"
DEAD_LETTERS = "dsr.dead-letters.v1"

MESSAGE_LIMIT = 1_048_576
"""Bytes of a record's value on every topic but the dead letters."""

DEAD_LETTER_LIMIT = 2_097_152
"""Bytes of a dead letter: a refused record of full size, sealed, must fit."""

PERSONAL_LIMIT = 900_000
"""Bytes of a sealed `personal` member; what exceeds it travels as an artifact."""


def submissions(portal: str) -> str:
    return f"dsr.portal.{portal}.submissions.v1"


def status(portal: str) -> str:
    return f"dsr.portal.{portal}.status.v1"


def tasks(system: str) -> str:
    return f"dsr.system.{system}.tasks.v1"


def results(system: str) -> str:
    return f"dsr.system.{system}.results.v1"


def dead_letters(system: str) -> str:
    """The system's own dead letters; the services' stand in `DEAD_LETTERS`."""
    return f"dsr.system.{system}.dead-letters.v1"


@cache
def sender(topic: str) -> str | None:
    """The participant whom a topic of a portal or system belongs to, or None for the services' own topics."""
    parts = topic.split(".")
    return parts[2] if len(parts) == 5 and parts[:2] in (["dsr", "portal"], ["dsr", "system"]) else None
