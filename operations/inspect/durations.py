"""Durations as people type them: `31d`, `12h`, `90m`, `1d12h`."""

from __future__ import annotations

import re
from datetime import timedelta

_FORM = re.compile(r"(?:(?P<days>\d{1,5})d)?(?:(?P<hours>\d{1,6})h)?(?:(?P<minutes>\d{1,8})m)?")


def duration(text: str) -> timedelta | None:
    """Return what `text` says, or None where it is no duration or nothing at all."""
    found = _FORM.fullmatch(text.strip().lower())
    if found is None:
        return None
    parts = {unit: int(number) for unit, number in found.groupdict().items() if number}
    return timedelta(**parts) or None


def spelled(length: timedelta) -> str:
    """Return it as `31d`, `1d12h`, `90s`: whole seconds, the largest units first; `0s` for nothing."""
    seconds = int(length.total_seconds())
    said = ""
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        said += f"{count}{unit}" if count else ""
    return said or "0s"
