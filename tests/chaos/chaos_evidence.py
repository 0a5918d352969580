"""What a run has left behind, read from the topics once everything is quiet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from chaos_mail import Attempt
from chaos_script import PORTAL, SYSTEMS, Script
from chaos_stage import Happening, Stage
from chaos_systems import Foreseen
from chaos_wire import client_options, read_all

from habeas.contracts.catalogue import read
from habeas.contracts.cloudevents import decode, readable_id
from habeas.contracts.command import CommandDecided
from habeas.contracts.dead_letter import DeadLetter, dead_letter_id
from habeas.contracts.status import StatusChanged, SubmissionRejected
from habeas.contracts.task import TaskAssigned, TaskCancelled
from habeas.contracts.topics import DEAD_LETTER_LIMIT, DEAD_LETTERS, DECISIONS, results, status, submissions, tasks
from operations.topology import OPERATORS


@dataclass(frozen=True, slots=True)
class Assigned:
    """A task on a system's topic."""

    system: str
    ce_id: UUID
    body: TaskAssigned


@dataclass(frozen=True, slots=True)
class Evidence:
    scripts: Mapping[UUID, Script]
    statuses: Mapping[UUID, Sequence[StatusChanged]]
    """In the order of the topic."""
    rejected: frozenset[UUID]
    assigned: Mapping[UUID, Sequence[Assigned]]
    cancelled: frozenset[UUID]
    """Task ids."""
    decisions: Mapping[UUID, Sequence[CommandDecided]]
    dead_letters: Mapping[UUID, str]
    """By the id that follows from the record's place, why."""
    foreseen: Mapping[UUID, UUID]
    """By the id that a dead letter must have, the ce_id of the record that was wrong on purpose."""
    to_be_rejected: frozenset[UUID]
    answers: frozenset[UUID]
    """Requests of which an answer lies in the object store."""
    mails: Sequence[Attempt]
    happened: Sequence[Happening]
    reasons: Mapping[UUID, str] = field(default_factory=dict)
    """By ce_id why it must become a dead letter, where that is certain."""


Read = Callable[[str], Awaitable[Sequence[Any]]]
"""All records of a topic."""


async def collect(stage: Stage, scripts: Mapping[UUID, Script], foreseen: Foreseen) -> Evidence:
    """Reads every topic of the contract from its first record to its last."""
    options = client_options(stage.stack.env(OPERATORS))

    async def read(topic: str) -> Sequence[Any]:
        return await read_all(options, [topic])

    return await gather(read, answers_in(stage.store), stage.mail.attempts, stage.happened, scripts, foreseen)


async def gather(
    read_topic: Read,
    answers: frozenset[UUID],
    mails: Sequence[Attempt],
    happened: Sequence[Happening],
    scripts: Mapping[UUID, Script],
    foreseen: Foreseen,
) -> Evidence:
    statuses: dict[UUID, list[StatusChanged]] = defaultdict(list)
    rejected: set[UUID] = set()
    for record in await read_topic(status(PORTAL)):
        event = decode(record.key, record.value, record.headers)
        if event.type == StatusChanged.TYPE:
            statuses[event.subject].append(read(event, StatusChanged))
        elif event.type == SubmissionRejected.TYPE:
            rejected.add(read(event, SubmissionRejected).ce_id)
    assigned, cancelled = await _tasks(read_topic)
    decisions: dict[UUID, list[CommandDecided]] = defaultdict(list)
    for record in await read_topic(DECISIONS):
        decided = read(decode(record.key, record.value, record.headers), CommandDecided)
        decisions[decided.command_id].append(decided)
    letters: dict[UUID, str] = {}
    for record in await read_topic(DEAD_LETTERS):
        letter = read(decode(record.key, record.value, record.headers, limit=DEAD_LETTER_LIMIT), DeadLetter)
        letters[letter.dead_letter_id] = str(letter.reason)
    return Evidence(
        scripts=scripts,
        statuses=statuses,
        rejected=frozenset(rejected),
        assigned=assigned,
        cancelled=cancelled,
        decisions=decisions,
        dead_letters=letters,
        foreseen=await _foreseen(read_topic, foreseen),
        to_be_rejected=frozenset(foreseen.rejected),
        answers=answers,
        mails=tuple(mails),
        happened=tuple(happened),
        reasons=foreseen.reasons,
    )


def answers_in(store: Path) -> frozenset[UUID]:
    """The requests of which an answer lies in that folder."""
    return frozenset(UUID(answer.name.split("_")[0]) for answer in store.glob("answers/*_*"))


async def _tasks(read_topic: Read) -> tuple[Mapping[UUID, Sequence[Assigned]], frozenset[UUID]]:
    assigned: dict[UUID, list[Assigned]] = defaultdict(list)
    cancelled: set[UUID] = set()
    for system in SYSTEMS:
        for record in await read_topic(tasks(system)):
            event = decode(record.key, record.value, record.headers)
            if event.type == TaskAssigned.TYPE:
                assigned[event.subject].append(Assigned(system, event.id, read(event, TaskAssigned)))
            elif event.type == TaskCancelled.TYPE:
                cancelled.add(read(event, TaskCancelled).task_id)
    return assigned, frozenset(cancelled)


async def _foreseen(read_topic: Read, foreseen: Foreseen) -> Mapping[UUID, UUID]:
    """By place: what was said again because Kafka was away stands there twice, and is two dead letters."""
    found: dict[UUID, UUID] = {}
    for topic in (submissions(PORTAL), *(results(system) for system in SYSTEMS)):
        for record in await read_topic(topic):
            ce_id = readable_id(record.headers)
            if ce_id in foreseen.records:
                found[dead_letter_id(record.topic, record.partition, record.offset)] = ce_id
    return found
