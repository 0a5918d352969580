"""The one clock. Injected, so that rules and tests choose the time."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

Clock = Callable[[], datetime]
"""The present instant, in UTC."""


class ClockError(Exception):
    """The offset of a local stack's clock cannot be read."""


def system_clock() -> datetime:
    return datetime.now(UTC)


class OffsetClock:
    """The system's clock, ahead by what a file says: whole seconds in decimal. No file, no offset.

    A local stack's alone, so that a month can pass in a test. The file is looked at on each call and read when it has
    changed; the clock follows it forwards and never backwards. Raises ClockError for a file that says no offset.
    """

    def __init__(self, file: Path, clock: Clock = system_clock) -> None:
        self._file = file
        self._clock = clock
        self._seen: tuple[int, int] | None = None
        self._offset = timedelta()

    def __call__(self) -> datetime:
        try:
            found = self._file.stat()
        except FileNotFoundError:
            return self._clock() + self._offset
        seen = (found.st_mtime_ns, found.st_ino)
        if seen != self._seen:
            self._offset = max(self._offset, read_offset(self._file))
            self._seen = seen
        return self._clock() + self._offset


def read_offset(file: Path) -> timedelta:
    """Return what `file` says, nothing where there is none. Raises ClockError."""
    try:
        text = file.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return timedelta()
    except (OSError, UnicodeDecodeError):
        text = ""
    if not text.isdecimal() or len(text) > 10:
        raise ClockError(f"{file} says no offset in seconds: stop the stack and run `habeas clock reset`.")
    return timedelta(seconds=int(text))


def clock_with(offset_file: Path | None) -> Clock:
    """Return the system's clock, or, where a file is named, one that is ahead by what it says."""
    return system_clock if offset_file is None else OffsetClock(offset_file)
