"""What the shell offers for names: short lists that need no stack."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from habeas.contracts.errors import Reason
from operations.programs import SERVICES, SYSTEMS
from shared.law.grounds import GROUNDS

LAW = Path(__file__).resolve().parents[1] / "shared" / "law" / "data"


def services(incomplete: str) -> list[str]:
    return _starting(SERVICES, incomplete)


def systems(incomplete: str) -> list[str]:
    return _starting(SYSTEMS, incomplete)


def programs(incomplete: str) -> list[str]:
    """Of a list with commas, the last name."""
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in _starting((*SERVICES, *SYSTEMS), last)]


def reasons(incomplete: str) -> list[str]:
    return _starting(Reason, incomplete)


def grounds(incomplete: str) -> list[str]:
    return _starting(sorted(GROUNDS), incomplete)


def regulations(incomplete: str) -> list[str]:
    return _starting(sorted(path.stem for path in LAW.glob("*.toml")), incomplete)


def _starting(words: Iterable[str], incomplete: str) -> list[str]:
    return [str(word) for word in words if word.startswith(incomplete)]
