"""What the privacy team is told: why a person must look, and the commands that take a request on."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from habeas.contracts.vocabulary import Right, TaskOutcome
from services.notifier.mails.words import Words
from shared.events import Notice, NoticeRequested, SystemNote

RIGHTS: Final = (
    Right.ACCESS,
    Right.PORTABILITY,
    Right.RECTIFICATION,
    Right.ERASURE,
    Right.RESTRICTION,
    Right.OBJECTION,
    Right.CONSENT_WITHDRAWAL,
)
"""Those that run by themselves once a request is classified."""

_ANSWERED: Final = frozenset(
    {TaskOutcome.COMPLETED, TaskOutcome.PARTIAL, TaskOutcome.NOTHING_HELD, TaskOutcome.REFUSED}
)
_UNKNOWN_RIGHT: Final = "RIGHT"
_UNKNOWN_SYSTEM: Final = "SYSTEM"


@dataclass(frozen=True, slots=True)
class Step:
    do: str
    runs: tuple[str, ...]
    """Commands, each whole."""


@dataclass(frozen=True, slots=True)
class Brief:
    why: str = ""
    steps: tuple[Step, ...] = ()
    right_to_choose: bool = False
    """Whether a command leaves the right open."""


def brief(notice: NoticeRequested, systems: Iterable[SystemNote], words: Words) -> Brief:
    """Empty for a notice that does not go to the privacy team."""
    if notice.notice not in {Notice.DPO_TRIAGE, Notice.DPO_REVIEW}:
        return Brief()
    table: Mapping[str, Any] = words.tables["triage" if notice.notice == Notice.DPO_TRIAGE else "review"]
    found = table.get(notice.reason.code if notice.reason else "", table["other"])
    failed = [note.system for note in systems if note.outcome is not None and note.outcome not in _ANSWERED]
    right = str(notice.right) if notice.right in RIGHTS else _UNKNOWN_RIGHT
    steps = tuple(
        Step(step["do"], tuple(_commands(step.get("run"), notice, right, failed or [_UNKNOWN_SYSTEM])))
        for step in found["steps"]
    )
    return Brief(
        why=found["why"].format(reference=notice.reference),
        steps=steps,
        right_to_choose=any(_UNKNOWN_RIGHT in run for step in steps for run in step.runs),
    )


def _commands(form: str | None, notice: NoticeRequested, right: str, systems: Iterable[str]) -> Iterable[str]:
    if form is None:
        return ()
    # A form without {system} gives the same command for each: once is enough.
    # The privacy team is told of each revision of what is in triage: the ordinal is the revision.
    names = {"reference": notice.reference, "right": right, "revision": notice.ordinal}
    return dict.fromkeys(form.format(**names, system=system) for system in systems)
