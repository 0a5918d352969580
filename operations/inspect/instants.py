"""Points in time as people type them, for `--since`."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

from habeas.contracts.base import instant
from operations.errors import UsageError
from operations.inspect.durations import duration


def since(text: str, now: datetime) -> datetime:
    """Return the instant: so long before `now` (`2d`), the beginning of a day in UTC, or an RFC 3339 instant.

    Raises UsageError for anything else.
    """
    ago = duration(text)
    if ago is not None:
        return now - ago
    try:
        return datetime.combine(date.fromisoformat(text), time(), UTC)
    except ValueError:
        pass
    at = instant(text)
    if at is None:
        raise UsageError(
            f"--since {text!r} is no time: write how long ago (2d, 12h), a day (2026-03-02) or an instant with its "
            "offset (2026-03-02T09:15:00Z)."
        )
    return at
