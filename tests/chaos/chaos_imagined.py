"""The evidence of a run that never was, in which all is well: what the reckoning's own tests spoil."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid5

from chaos_evidence import Assigned, Evidence
from chaos_mail import Attempt, Came
from chaos_script import SYSTEMS, Script, Twist, script

from habeas.contracts.command import CommandDecided
from habeas.contracts.status import AnswerStatus, Due, StatusChanged, SystemStatus
from habeas.contracts.task import TaskAssigned

NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)
_SEALED = f"e30..{'A' * 16}.AA.{'A' * 22}"


def of_kind(twist: Twist, **wanted: Any) -> Script:
    """The first request of that kind whose members are as wanted."""
    scripts = (script(0, number) for number in range(10_000))
    return next(
        each
        for each in scripts
        if each.twist is twist and all(getattr(each, name) == value for name, value in wanted.items())
    )


def evidence(*scripts: Script) -> Evidence:
    """As if everything had come as foretold."""
    return Evidence(
        scripts={each.request_id: each for each in scripts},
        statuses={each.request_id: _statuses(each) for each in scripts},
        rejected=frozenset(),
        assigned={each.request_id: list(_assigned(each)) for each in scripts},
        cancelled=frozenset(each.task("support", 1) for each in scripts if each.twist is Twist.WITHDRAWN),
        decisions={each.command(verb): [_decided(each, verb)] for each in scripts for verb in each.orders},
        dead_letters={},
        foreseen={},
        to_be_rejected=frozenset(),
        answers=frozenset(each.request_id for each in scripts),
        mails=[attempt for each in scripts for attempt in _mails(each)],
        happened=(),
    )


def with_statuses(given: Evidence, request_id: UUID, statuses: Sequence[StatusChanged]) -> Evidence:
    return replace(given, statuses={**given.statuses, request_id: statuses})


def status(of: Script, version: int, state: str, **members: Any) -> StatusChanged:
    due = Due(at=NOW, on=date(2026, 4, 2), rule="one month", original_at=NOW)
    return StatusChanged(
        **{
            "request_id": of.request_id,
            "reference": "HB-7K3M-Q2P9",
            "version": version,
            "state": state,
            "right": of.right,
            "regulation": "eu-gdpr",
            "received_at": NOW,
            "since": NOW,
            "due": due,
            **members,
        }
    )


def _statuses(of: Script) -> list[StatusChanged]:
    expected = of.expected
    systems = tuple(
        SystemStatus(system=name, state="finished" if outcome else "excluded", outcome=outcome)
        for name, outcome in (expected.systems or {}).items()
    )
    answer = AnswerStatus(available=True, expires_at=NOW) if of.is_copied(expected.outcome) else None
    closed = status(of, 3, "closed", outcome=expected.outcome, systems=systems, answer=answer)
    return [status(of, 1, "received"), status(of, 2, "in_progress"), closed]


def _assigned(of: Script) -> Iterator[Assigned]:
    for system in SYSTEMS:
        for attempt in range(1, of.expected.attempts.get(system, 0) + 1):
            task_id = of.task(system, attempt)
            body = TaskAssigned(
                task_id=task_id,
                request_id=of.request_id,
                system=system,
                attempt=attempt,
                action="erase",
                right=of.right,
                regulation="eu-gdpr",
                policy_version="1",
                scope=(),
                due_at=NOW,
                personal=_SEALED,
            )
            yield Assigned(system, uuid5(task_id, "event"), body)


def _decided(of: Script, verb: str) -> CommandDecided:
    return CommandDecided(command_id=of.command(verb), request_id=of.request_id, accepted=True, decided_at=NOW)


def _mails(of: Script) -> Iterator[Attempt]:
    for at, ((notice, reader), count) in enumerate(of.expected.mails.items()):
        for number in range(count):
            message_id = f"<{notice}.{number}.{of.request_id}>"
            yield Attempt(100.0 * at, message_id, of.request_id, notice, reader, Came.ACCEPTED)
