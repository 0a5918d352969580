"""Checks about all that was said in the run, and how fast."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from time import monotonic
from typing import Any

import orjson

from habeas.contracts.catalogue import read
from habeas.contracts.cloudevents import decode
from habeas.contracts.errors import ContractError
from habeas.contracts.result import TaskProgressed
from habeas.contracts.vocabulary import Action
from operations.conformance.bench import Bench, difference
from operations.conformance.check import Check, ContractBrokenError, broken_if
from operations.conformance.office import Said

_SHORTEST = 4
"""Characters of an identity that tell it from chance."""


async def speed(bench: Bench) -> str | None:
    if Action.ACCESS in bench.unsupported:
        who, person = "a stranger", bench.stranger
    else:
        who, person = "one person", bench.somebody()
    tasks = [bench.task(Action.ACCESS, person) for _ in range(bench.flood)]
    began = monotonic()
    await bench.office.send(*tasks)
    for task in tasks:
        await bench.office.answers(task.task_id, 1, bench.patience)
    rate = len(tasks) / (monotonic() - began)
    bench.measured["answers_per_second"] = round(rate, 1)
    return f"{rate:.0f} answers a second: {len(tasks)} accesses of {who} at once"


async def keeps_contract(bench: Bench) -> str | None:
    count = 0
    for record in _ours(bench):
        _valid(bench, record)
        count += 1
    broken_if(count == 0, "there is no answer at all")
    return f"{count} answers"


def _valid(bench: Bench, record: Any) -> None:
    if dict(record.headers).get("ce_type") != TaskProgressed.TYPE.encode():
        said = bench.office.opened(record)
        broken_if(said.body.system != bench.subject.system, f"an answer names the system `{said.body.system}`")
        return
    try:
        read(decode(record.key, record.value, record.headers), TaskProgressed)
    except ContractError as error:
        raise ContractBrokenError(f"a `progressed` breaks the contract: {error.reason} {error.pointer}") from None


async def same_every_time(bench: Bench) -> str | None:
    first: dict[object, Said] = {}
    repeats = 0
    for record in _ours(bench):
        if dict(record.headers).get("ce_type") == TaskProgressed.TYPE.encode():
            continue
        said = bench.office.opened(record)
        if said.body.supersedes is not None:
            first.pop(said.body.task_id, None)
        before = first.setdefault(said.body.task_id, said)
        repeats += before is not said
        broken_if(before.content() != said.content(), f"a task has two answers: {difference(before, said)}")
    return f"{repeats} repeats"


async def own_topics(bench: Bench) -> str | None:
    ours = {str(request_id).encode() for request_id in bench.office.requests}
    for record in bench.office.elsewhere:
        broken_if(record.key in ours or _request(record.value) in ours, f"something of it stands on {record.topic}")
    return None


async def nothing_in_clear(bench: Bench) -> str | None:
    """Identity values and what identifies somebody, in keys, headers, bodies, dead letters and its own output."""
    people = [*bench.subject.people.people, bench.stranger]
    secrets = {value.casefold() for person in people for value in person.identities.values() if len(value) >= _SHORTEST}
    for record in [*_ours(bench), *bench.office.letters]:
        where = f"on {record.topic}, partition {record.partition}, offset {record.offset}"
        for text in _texts(record):
            broken_if(any(secret in text.casefold() for secret in secrets), f"an identity stands in clear {where}")
    if bench.program is not None:
        log = bench.program.log.read_text(errors="replace").casefold()
        broken_if(any(secret in log for secret in secrets), f"an identity stands in its output, {bench.program.log}")
    return None


def _texts(record: Any) -> Iterator[str]:
    for part in (record.key, record.value, *(value for _, value in record.headers)):
        yield (part or b"").decode(errors="replace")
    try:
        yield from _strings(orjson.loads(record.value or b""))
    except ValueError:
        return


def _strings(value: object) -> Iterator[str]:
    """As they read once unescaped."""
    match value:
        case str():
            yield value
        case dict():
            for name, member in value.items():
                yield str(name)
                yield from _strings(member)
        case list():
            for member in value:
                yield from _strings(member)


def _ours(bench: Bench) -> Iterable[Any]:
    """Records on the results topic, but for answers to tasks that somebody else gave meanwhile."""
    ours = {str(request_id).encode() for request_id in bench.office.requests}
    return [
        record
        for record in bench.office.results
        if record.key in ours or (about := _request(record.value)) is None or about in ours
    ]


def _request(value: bytes | None) -> bytes | None:
    try:
        return str(orjson.loads(value or b"")["request_id"]).encode()
    except (ValueError, TypeError, KeyError):
        return None


CHECKS = (
    Check(
        "speed",
        "how fast it answers",
        "not judged",
        speed,
        measures=True,
    ),
    Check(
        "all.contract",
        "every answer keeps the contract: headers, key, schema, sealed for its place under its own key",
        "Envelope, Bodies, Sealing",
        keeps_contract,
    ),
    Check("all.same", "no task has two different answers", "Topics: delivery is at least once", same_every_time),
    Check("all.own_topics", "nothing of it stands on another system's topics", "Topics", own_topics),
    Check(
        "all.sealed",
        "nobody's identity stands in clear in Kafka or in its output",
        "Sealing",
        nothing_in_clear,
    ),
)
