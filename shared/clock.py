"""The one clock. Injected, so that rules and tests choose the time."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""The present instant, in UTC."""


def system_clock() -> datetime:
    return datetime.now(UTC)
