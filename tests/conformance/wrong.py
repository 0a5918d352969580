"""A participant written by hand, without the library: right as it is, and wrong in one way at a time.

As a process: `python -m tests.conformance.wrong NAME FAULT`, its settings and its people's file in the environment.
"""

import asyncio
import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from habeas.contracts import ContractError, KeyFile, Keyring, Reason, topics
from habeas.contracts.catalogue import seal_personal, write
from habeas.contracts.cloudevents import encode
from habeas.contracts.result import Record, ResultPersonal, SummaryItem, TaskError, TaskFinished
from habeas.contracts.sealing import JsonWebKey, Place, new_key
from habeas.contracts.submission import Identity
from habeas.contracts.task import TaskCancelled
from habeas.contracts.vocabulary import Action, Did, Instruction, TaskOutcome
from habeas.dead_letters import dead_letter
from habeas.participant.inbox import Assigned, read_task
from operations.connection import client_options

CATEGORIES = ("notes", "extras")


@dataclass
class Wrong:
    """Holds a note and an extra about each of `people`, and answers every action."""

    name: str
    keyring: Keyring
    kafka: Mapping[str, Any]
    file: Path
    """Where it keeps people and answers; what stands in it survives a restart."""
    fault: str = ""
    """The one thing it does wrong; see test_wrong.py."""
    people: dict[str, list[str]] = field(default_factory=dict)
    """Categories held, by e-mail address."""
    restricted: set[str] = field(default_factory=set)
    answers: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    """ce_id, ce_time and body by task id."""
    effects: dict[str, list[Any]] = field(default_factory=dict)
    """What an erasure did, by request id."""
    cancelled: set[str] = field(default_factory=set)

    def hold(self, *people: str) -> None:
        self.people |= {who: list(CATEGORIES) for who in people}

    alive: bool = True

    # The loop

    async def run(self, stop: asyncio.Event) -> None:
        self.load()
        producer = AIOKafkaProducer(**self.kafka, enable_idempotence=True, max_request_size=2_097_152)
        consumer = AIOKafkaConsumer(
            topics.tasks(self.name),
            **self.kafka,
            group_id=f"dsr.{self.name}.tasks",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            session_timeout_ms=6000,
            fetch_max_wait_ms=50,
        )
        await producer.start()
        await consumer.start()
        try:
            while not stop.is_set():
                polled = await consumer.getmany(timeout_ms=50, max_records=20)
                for place, records in polled.items():
                    if self.fault == "commits first":
                        await consumer.commit({place: records[-1].offset + 1})
                    for record in records:
                        await self.take(record, producer)
                    if self.fault != "commits first":
                        await consumer.commit({TopicPartition(*place): records[-1].offset + 1})
        finally:
            await consumer.stop()
            await producer.stop()

    async def take(self, record: Any, producer: AIOKafkaProducer) -> None:
        try:
            read = read_task(record, self.name, self.keyring)
        except ContractError as error:
            await self.refuse(record, error, producer)
            return
        if isinstance(read, TaskCancelled):
            self.cancelled.add(str(read.task_id))
            if self.fault == "forgets answers once cancelled":
                self.answers.pop(str(read.task_id), None)
            self.save()
            return
        if self.fault == "refuses new members" and b"imagined" in record.value:
            await self.refuse(record, ContractError(Reason.MEMBER_INVALID, "/imagined", "is not known"), producer)
            return
        if self.fault == "needs the assignment" and read.body.TYPE.endswith("reminded.v1"):
            return
        if self.fault == "ends over new words" and read.body.right == "imagined":
            os._exit(3)
        for topic, key, value, headers in self.answer(read):
            await producer.send_and_wait(topic, value, key=key, headers=headers)

    async def refuse(self, record: Any, error: ContractError, producer: AIOKafkaProducer) -> None:
        if self.fault == f"drops {error.reason}":
            return
        if self.fault == f"misnames {error.reason}":
            error = ContractError(Reason.HANDLER_FAILED, "", "")
        if self.fault == "keeps nothing of a bad record":
            record = type("Record", (), {**{name: getattr(record, name) for name in _PARTS}, "value": b""})()
        letter = dead_letter(
            record, error, keyring=self.keyring, reader=self.name, refused_by=self.name, now=datetime.now(UTC)
        )
        key, value, headers = encode(letter, limit=topics.DEAD_LETTER_LIMIT)
        await producer.send_and_wait(topics.dead_letters(self.name), value, key=key, headers=headers)

    # Answers

    def answer(self, task: Assigned) -> Sequence[tuple[str, bytes, bytes, list[tuple[str, bytes]]]]:
        """Records to write: topic, key, value, headers."""
        body = task.body
        known = self.answers.get(str(body.task_id))
        if known is None or self.fault == _AGAIN:
            personal, said = self.work(task)
            if self.fault == _AGAIN:
                personal = personal.model_copy(update={"message": f"looked up anew: {uuid4()}"})
            known = self.finished(task, personal, said)
            if self.fault != "remembers nothing":
                self.answers[str(body.task_id)] = known
            self.save()
        return self.published(task, known)

    def finished(self, task: Assigned, personal: ResultPersonal, said: dict[str, Any]) -> tuple[str, str, str]:
        body = task.body
        ce_type = "dsr.task.assigned.v1" if self.fault == "seals for another type" else TaskFinished.TYPE
        attempt = uuid4() if self.fault == "seals for another task" else body.task_id
        keyring, owner = self.keyring, self.name
        if self.fault == "seals under another's key":
            owner = "somebody-else"
            keyring = Keyring([JsonWebKey(**new_key(owner))])
        sealed = seal_personal(keyring, Place(owner, ce_type, body.request_id, attempt), personal)
        said["summary"] = tuple(said.get("summary", ()))
        finished = TaskFinished(
            task_id=body.task_id, request_id=body.request_id, system=self.name, personal=sealed, **said
        )
        return str(uuid4()), datetime.now(UTC).isoformat(), finished.model_dump_json()

    def published(
        self, task: Assigned, known: tuple[str, str, str]
    ) -> list[tuple[str, bytes, bytes, list[tuple[str, bytes]]]]:
        ce_id, ce_time, text = known
        body = TaskFinished.model_validate_json(text)
        event = write(
            body,
            subject=body.request_id,
            source=f"systems/{self.name}",
            now=datetime.fromisoformat(ce_time),
            new_id=lambda: UUID(ce_id),
        )
        key, value, headers = encode(event)
        who = task.personal.subject.identities[0].identity_value
        topic = topics.results(self.name)
        members: dict[str, Any] = {}
        match self.fault:
            case "another key":
                key = str(uuid4()).encode()
            case "no time":
                headers = [header for header in headers if header[0] != "ce_time"]
            case "a sentence as a code":
                members["error"] = {"code": "No such person", "retryable": False}
            case "a count in words":
                members["summary"] = [{"category": "notes", "did": "disclosed", "count": "two"}]
            case "the identity in a header":
                headers = [*headers, ("person", who.encode())]
            case "the identity in the summary":
                members["about"] = who.upper()
            case "the identity escaped":
                escaped = "".join(f"\\u{ord(letter):04x}" for letter in who)
                value = value[:-1] + f',"about":"{escaped}"}}'.encode()
            case "the identity in its output":
                print(who, file=sys.stderr, flush=True)  # noqa: T201
            case "another system's topic":
                return [(topic, key, value, headers), (topics.results("billing"), key, value, headers)]
            case "two answers":
                other = orjson.dumps({**orjson.loads(value), "outcome": "partial"})
                return [(topic, key, value, headers), (topic, key, other, headers)]
        if members:
            value = orjson.dumps({**orjson.loads(value), **members})
        return [(topic, key, value, headers)]

    def work(self, task: Assigned) -> tuple[ResultPersonal, dict[str, Any]]:
        """What is sealed, and the members in clear."""
        body = task.body
        asked = {item.category for item in task.body.scope} if self.fault != "minds no scope" else set(CATEGORIES)
        who = next(iter(item.identity_value for item in task.personal.subject.identities))
        if str(body.task_id) in self.cancelled and self.fault != "minds no cancellation":
            if self.fault == "erases what is cancelled":
                self.people.pop(who, None)
            return ResultPersonal(), {"outcome": TaskOutcome.CANCELLED}
        looks = body.action == Action.LOCATE
        held = [category for category in self.people.get(who, ()) if category in asked or looks]
        words = {item.instruction for item in body.scope if item.instruction is not None}
        strange = any(not isinstance(word, Instruction) for word in words) and body.action == Action.ERASE
        unknown = body.action not in set(Action)
        if (unknown and self.fault != "guesses actions") or (strange and self.fault != "guesses instructions"):
            return ResultPersonal(), {
                "outcome": TaskOutcome.UNSUPPORTED,
                "error": TaskError(code="action_unsupported"),
            }
        puzzled = self.fault == "counts on words it knows" and body.right == "imagined"
        if puzzled or self.fault == f"fails {body.action}":
            return ResultPersonal(), {"outcome": TaskOutcome.FAILED, "error": TaskError(code="no_idea")}
        if self.fault == "nothing held" or (not held and body.action != Action.ERASE):
            if self.fault == "knows everybody":
                return ResultPersonal(), {"outcome": TaskOutcome.COMPLETED, "summary": [_did("notes", Did.DISCLOSED)]}
            return ResultPersonal(), {"outcome": TaskOutcome.NOTHING_HELD}
        return self.done(task, who, held)

    def done(self, task: Assigned, who: str, held: Sequence[str]) -> tuple[ResultPersonal, dict[str, Any]]:
        account = (Identity(identity_type="account_id", identity_value=f"account of {who}"),)
        origin = "derived" if self.fault == "exports what it derived" else "provided"
        records = tuple(Record(id=f"{each}-1", category=each, origin=origin, data={"of": who}) for each in held)
        match task.body.action:
            case Action.LOCATE:
                records = records if self.fault == "tells more than it is asked" else ()
                return ResultPersonal(records=records, identities=account), {"outcome": TaskOutcome.COMPLETED}
            case Action.ACCESS:
                summary = [_did(each, Did.DISCLOSED) for each in held]
            case Action.EXPORT:
                summary = [_did(each, Did.EXPORTED) for each in held]
            case Action.ERASE:
                return self.erase(task, who, held, account)
            case Action.HOLD:
                until = None if self.fault == "holds for ever" else task.body.due_at.date()
                summary = [_did(each, Did.RETAINED, "held_for_request", until) for each in held]
                records = ()
            case Action.RESTRICT:
                count = 2 if self.fault == "counts anew" and who in self.restricted else 1
                self.restricted.add(who)
                summary = [_did(each, Did.RESTRICTED).model_copy(update={"count": count}) for each in held]
                records = ()
            case other:
                did = {
                    Action.RECTIFY: Did.RECTIFIED,
                    Action.UNRESTRICT: Did.UNRESTRICTED,
                    Action.OBJECT: Did.STOPPED,
                }.get(other, Did.DISCLOSED)  # type: ignore[call-overload]
                summary = [_did(each, did) for each in held]
                records = ()
        if self.fault == f"says deleted for {task.body.action}":
            summary = [_did("notes", Did.DELETED)]
        return ResultPersonal(records=records), {"outcome": TaskOutcome.COMPLETED, "summary": summary}

    def erase(
        self, task: Assigned, who: str, held: Sequence[str], account: tuple[Identity, ...]
    ) -> tuple[ResultPersonal, dict[str, Any]]:
        request = str(task.body.request_id)
        forgets = self.fault in ("forgets earlier attempts", _AGAIN)
        before = [] if forgets else self.effects.get(request, [])
        if not held and not before:
            return ResultPersonal(), {"outcome": TaskOutcome.NOTHING_HELD}
        if self.fault != "only says that it erased":
            self.people[who] = [each for each in self.people.get(who, []) if each not in held]
        told = [*dict.fromkeys([*before, *held])]
        self.effects[request] = told
        if self.fault == "forgets the identifiers" and before:
            account = ()
        if self.fault == "erases in silence":
            self.people[who] = []
            told = told[:1]
        summary = [_did(each, Did.DELETED) for each in told]
        return ResultPersonal(identities=account), {"outcome": TaskOutcome.COMPLETED, "summary": summary}

    # What survives

    def save(self) -> None:
        kept = {
            "people": self.people,
            "answers": self.answers if self.fault != "remembers until it dies" else {},
            "effects": self.effects if self.fault != "remembers until it dies" else {},
            "cancelled": [*self.cancelled],
            "restricted": [*self.restricted],
        }
        new = self.file.with_suffix(".new")
        new.write_text(json.dumps(kept))
        new.replace(self.file)

    def load(self) -> None:
        if self.file.exists():
            kept = json.loads(self.file.read_text())
            self.people, self.effects = kept["people"], kept["effects"]
            self.answers = {task: (one, two, three) for task, (one, two, three) in kept["answers"].items()}
            self.cancelled, self.restricted = set(kept["cancelled"]), set(kept["restricted"])


_AGAIN = "does again what it has done"
_PARTS = ("topic", "partition", "offset", "timestamp", "key", "headers")


def _did(category: str, did: Did, ground: str | None = None, until: Any = None) -> SummaryItem:
    return SummaryItem(category=category, did=did, count=1, ground=ground, until=until)


def main() -> None:
    name, fault = sys.argv[1:]
    logging.disable()
    wrong = Wrong(
        name,
        KeyFile(Path(os.environ["HABEAS_KEYS"])).keyring(),
        client_options(os.environ),
        Path(os.environ["HABEAS_DATA_DIR"]) / "wrong.json",
        fault,
    )
    asyncio.run(wrong.run(asyncio.Event()))


if __name__ == "__main__":
    main()
