"""Checks about records that break the contract, or know more than the system does."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import orjson

from habeas.contracts.catalogue import seal_personal
from habeas.contracts.errors import Reason
from habeas.contracts.sealing import JsonWebKey, Keyring, Place, new_key
from habeas.contracts.submission import Identity
from habeas.contracts.task import ScopeItem, TaskPersonal
from habeas.contracts.task import TaskSubject as TheSubject
from habeas.contracts.vocabulary import Action, TaskOutcome
from operations.conformance.bench import Assignment, Bench, outcome
from operations.conformance.check import Check, broken_if
from operations.conformance.office import Raw

Spoil = Callable[[Bench, Assignment, Raw], Raw]


def _value(change: Callable[[Bench, Assignment, dict[str, Any]], dict[str, Any]]) -> Spoil:
    def spoil(bench: Bench, task: Assignment, raw: Raw) -> Raw:
        body = orjson.loads(raw.value or b"")
        return Raw(raw.key, orjson.dumps({**body, **change(bench, task, body)}), raw.headers)

    return spoil


def _header(name: str, value: bytes | None) -> Spoil:
    """With another value; None takes it away."""

    def spoil(bench: Bench, task: Assignment, raw: Raw) -> Raw:  # noqa: ARG001
        kept = [(each, held) for each, held in raw.headers if each != name]
        return Raw(raw.key, raw.value, [*kept, (name, value)] if value is not None else kept)

    return spoil


def _of_another_task(bench: Bench, task: Assignment, body: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG001
    return {"personal": bench.task(task.action, bench.stranger, request_id=task.request_id).personal}


def _foreign(bench: Bench, task: Assignment, body: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG001
    """Sealed rightly, by somebody else's key."""
    name = "conformance-stranger"
    place = Place(name, task.TYPE, task.request_id, task.task_id)
    personal = TaskPersonal(subject=TheSubject(identities=_identities(bench)))
    return {"personal": seal_personal(Keyring([JsonWebKey(**new_key(name))]), place, personal)}


def _changed(bench: Bench, task: Assignment, body: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG001
    header, key, nonce, _, tag = str(body["personal"]).split(".")
    return {
        "personal": ".".join((header, key, nonce, urlsafe_b64encode(b"changed on its way").decode().rstrip("="), tag))
    }


def _in_clear(bench: Bench, task: Assignment, body: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG001
    return {"personal": {"subject": {"identities": [each.model_dump(mode="json") for each in _identities(bench)]}}}


def _identities(bench: Bench) -> tuple[Identity, ...]:
    return tuple(
        Identity(identity_type=kind, identity_value=value) for kind, value in bench.stranger.identities.items()
    )


BAD: dict[Reason, tuple[str, Spoil]] = {
    Reason.NOT_JSON: ("a value that is not JSON", lambda _, __, raw: Raw(raw.key, b"\xff{", raw.headers)),
    Reason.TOMBSTONE: ("a record without a value", lambda _, __, raw: Raw(raw.key, None, raw.headers)),
    Reason.HEADER_MISSING: ("a record without its ce_id", _header("ce_id", None)),
    Reason.HEADER_INVALID: ("a header of another form", _header("ce_specversion", b"0.3")),
    Reason.KEY_MISMATCH: (
        "a record under another request's key",
        lambda _, __, raw: Raw(str(uuid4()).encode(), raw.value, raw.headers),
    ),
    Reason.TYPE_UNKNOWN: ("a type that there is not", _header("ce_type", b"dsr.task.imagined.v1")),
    Reason.MEMBER_MISSING: (
        "a body without its action",
        lambda _, __, raw: Raw(
            raw.key,
            orjson.dumps({k: v for k, v in orjson.loads(raw.value or b"").items() if k != "action"}),
            raw.headers,
        ),
    ),
    Reason.MEMBER_INVALID: ("a member of another form", _value(lambda _, __, ___: {"attempt": 0})),
    Reason.TASK_FOREIGN: ("another system's task", _value(lambda _, __, ___: {"system": "conformance-stranger"})),
    Reason.PERSONAL_IN_CLEAR: ("a `personal` in clear", _value(_in_clear)),
    Reason.PERSONAL_MISPLACED: ("a `personal` pasted from another task", _value(_of_another_task)),
    Reason.PERSONAL_UNOPENABLE: ("a `personal` that was changed on its way", _value(_changed)),
    Reason.KEY_FOREIGN: ("a `personal` sealed under another's key", _value(_foreign)),
}


def _refuses(reason: Reason, spoil: Spoil) -> Callable[[Bench], Awaitable[str | None]]:
    async def run(bench: Bench) -> str | None:
        bad, good = (bench.task(Action.ACCESS, bench.stranger) for _ in range(2))
        bench.office.requests |= {bad.request_id, good.request_id}
        spoilt = spoil(bench, bad, bench.office.raw(bad))
        offset = await bench.office.send_raw(spoilt)
        await bench.office.send_raw(bench.office.raw(good))
        await bench.office.answers(good.task_id, 1, bench.patience)
        letter = await bench.office.letter(0, offset, bench.patience)
        broken_if(letter.body.reason != reason, f"the dead letter's reason is `{letter.body.reason}`")
        whole = letter.record.restored() == (spoilt.key, spoilt.value, list(spoilt.headers))
        broken_if(not whole, "the dead letter does not hold the record as it was")
        broken_if(bench.office.count(bad.task_id), "the record is answered")
        return None

    return run


async def unknown_members(bench: Bench) -> str | None:
    bench.needs(Action.ACCESS)
    task = bench.task(Action.ACCESS, bench.somebody())
    raw = bench.office.raw(task)
    body = orjson.loads(raw.value or b"")
    body |= {"imagined": {"of": ["a", "later", "version"]}}
    body["scope"] = [{**item, "imagined": 1} for item in body["scope"]]
    more = Raw(raw.key, orjson.dumps(body), [*raw.headers, ("imagined", b"\xff\x00"), ("ce_imagined", b"1")])
    bench.office.requests.add(task.request_id)
    await bench.office.send_raw(more)
    said = (await bench.office.answers(task.task_id, 1, bench.patience))[0]
    broken_if(said.outcome not in (TaskOutcome.COMPLETED, TaskOutcome.PARTIAL), f"answered {outcome(said)}")
    return None


async def unknown_words(bench: Bench) -> str | None:
    bench.needs(Action.ACCESS)
    scope = tuple(item.model_copy(update={"basis": "imagined", "instruction": "imagined"}) for item in _scope(bench))
    task = bench.task(
        Action.ACCESS,
        bench.somebody(),
        scope=scope,
        identity_format="imagined",
        right="imagined",
        regulation="xx-imagined.2031",
    )
    said = await bench.ask(task)
    broken_if(said.outcome not in (TaskOutcome.COMPLETED, TaskOutcome.PARTIAL), f"answered {outcome(said)}")
    return None


async def unknown_instruction(bench: Bench) -> str | None:
    """The contract has the records left as they are."""
    bench.needs(Action.ERASE)
    person = bench.altered()
    before = None if Action.ACCESS in bench.unsupported else await bench.held(person)
    scope = tuple(item.model_copy(update={"instruction": "imagined"}) for item in _scope(bench))
    said = await bench.heard(bench.task(Action.ERASE, person, scope=scope))
    broken_if(said.outcome != TaskOutcome.UNSUPPORTED, f"answered {outcome(said)}")
    broken_if(before is not None and await bench.held(person) != before, "something was erased")
    return None


def _scope(bench: Bench) -> tuple[ScopeItem, ...]:
    return bench.scope(Action.ACCESS)


CHECKS = (
    *(
        Check(
            f"refuses.{reason}",
            f"{what} is a dead letter, and the next task is answered",
            "Reasons",
            _refuses(reason, spoil),
        )
        for reason, (what, spoil) in BAD.items()
    ),
    Check("bears.unknown_members", "members and headers of a later version are ignored", "Bodies", unknown_members),
    Check("bears.unknown_words", "words of a later version stop nothing", "Bodies: words are open", unknown_words),
    Check(
        "bears.unknown_instruction",
        "an instruction that nobody knows yet is answered `unsupported`, and nothing is erased",
        "Bodies: words are open",
        unknown_instruction,
    ),
)
