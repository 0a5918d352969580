"""Records as a sender would write them, and ways to spoil them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID, uuid4

import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import murmur2
from stand import DeadLetters, Portal, somebody

from habeas.contracts.cloudevents import CloudEvent, encode
from habeas.contracts.errors import Reason

Headers = list[tuple[str, bytes | None]]


@dataclass(frozen=True)
class Wire:
    """A record on its way to Kafka. Every change gives another one."""

    key: bytes | None
    value: bytes | None = field(repr=False)
    headers: Headers

    @classmethod
    def of(cls, event: CloudEvent) -> Wire:
        key, value, headers = encode(event)
        return cls(key, value, list(headers))

    def header(self, name: str) -> bytes | None:
        return dict(self.headers).get(name)

    def without(self, name: str) -> Wire:
        return replace(self, headers=[each for each in self.headers if each[0] != name])

    def having(self, name: str, value: bytes | None) -> Wire:
        return replace(self, headers=[(each, value if each == name else before) for each, before in self.headers])

    def repeating(self, name: str) -> Wire:
        return replace(self, headers=[*self.headers, (name, self.header(name))])

    def keyed(self, key: bytes | None) -> Wire:
        return replace(self, key=key)

    def saying(self, value: bytes | None) -> Wire:
        return replace(self, value=value)

    def member(self, name: str, value: Any) -> Wire:
        return self.saying(orjson.dumps({**orjson.loads(self.value or b"{}"), name: value}))

    def lacking(self, name: str) -> Wire:
        body = orjson.loads(self.value or b"{}")
        del body[name]
        return self.saying(orjson.dumps(body))


@dataclass(frozen=True)
class Spoiled:
    """One way of being wrong, with what the dead letter is to say."""

    name: str
    spoil: Callable[[Wire], Wire]
    reason: Reason
    pointer: str


def damaged(wire: Wire) -> Wire:
    """One character of the sealed text is another."""
    token = orjson.loads(wire.value or b"{}")["personal"]
    head, key, nonce, text, tag = token.split(".")
    return wire.member("personal", ".".join((head, key, nonce, ("B" if text[0] == "A" else "A") + text[1:], tag)))


HEADERS = ("ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_subject", "content-type")
IN_CLEAR_NAME = "Klara Klartext"
IN_CLEAR = {"subject": {"name": IN_CLEAR_NAME, "identities": []}}
"""In nobody's sample, so that whoever searches the logs for it knows where it came from."""

ENVELOPE = (
    *(Spoiled(f"no {name}", lambda w, n=name: w.without(n), Reason.HEADER_MISSING, name) for name in HEADERS),  # type: ignore[misc]
    *(Spoiled(f"null {name}", lambda w, n=name: w.having(n, None), Reason.HEADER_INVALID, name) for name in HEADERS),  # type: ignore[misc]
    *(
        Spoiled(f"repeated {name}", lambda w, n=name: w.repeating(n), Reason.HEADER_REPEATED, name)  # type: ignore[misc]
        for name in ("ce_id", "ce_subject", "content-type")
    ),
    *(
        Spoiled(f"{name} not UTF-8", lambda w, n=name: w.having(n, b"\xff\xfe"), Reason.HEADER_INVALID, name)  # type: ignore[misc]
        for name in ("ce_source", "ce_type")
    ),
    *(
        Spoiled(f"wrong {name}", lambda w, n=name, v=value: w.having(n, v), Reason.HEADER_INVALID, name)  # type: ignore[misc]
        for name, value in (
            ("ce_specversion", b"0.3"),
            ("ce_id", b"42"),
            ("ce_source", b"a b"),
            ("ce_time", b"yesterday"),
            ("ce_subject", b"me"),
            ("content-type", b"text/plain"),
        )
    ),
    Spoiled("unknown type", lambda w: w.having("ce_type", b"dsr.request.sung.v1"), Reason.TYPE_UNKNOWN, "ce_type"),
    Spoiled("null key", lambda w: w.keyed(None), Reason.KEY_MISSING, ""),
    Spoiled("key that is no UUID", lambda w: w.keyed(b"4711"), Reason.KEY_INVALID, ""),
    Spoiled("key that is not UTF-8", lambda w: w.keyed(b"\xff"), Reason.KEY_INVALID, ""),
    Spoiled("key of another request", lambda w: w.keyed(str(uuid4()).encode()), Reason.KEY_MISMATCH, ""),
    Spoiled(
        "body of another request", lambda w: w.member("request_id", str(uuid4())), Reason.KEY_MISMATCH, "/request_id"
    ),
    Spoiled("tombstone", lambda w: w.saying(None), Reason.TOMBSTONE, ""),
    Spoiled("nothing in it", lambda w: w.saying(b""), Reason.NOT_JSON, ""),
    Spoiled("not JSON", lambda w: w.saying(b'{"request_id":'), Reason.NOT_JSON, ""),
    Spoiled("not UTF-8", lambda w: w.saying(b'{"request_id":"\xff"}'), Reason.NOT_JSON, ""),
    Spoiled("not an object", lambda w: w.saying(b"[]"), Reason.MEMBER_INVALID, ""),
    Spoiled("personal in clear", lambda w: w.member("personal", IN_CLEAR), Reason.PERSONAL_IN_CLEAR, "/personal"),
    Spoiled("no personal", lambda w: w.lacking("personal"), Reason.MEMBER_MISSING, "/personal"),
    Spoiled("null personal", lambda w: w.member("personal", None), Reason.MEMBER_INVALID, "/personal"),
    Spoiled("damaged personal", damaged, Reason.PERSONAL_UNOPENABLE, "/personal"),
)
"""What is wrong whatever the message is about."""


async def put(producer: AIOKafkaProducer, topic: str, wire: Wire, partition: int | None = None) -> Any:
    """Returns where Kafka put it."""
    return await producer.send_and_wait(topic, wire.value, key=wire.key, headers=wire.headers, partition=partition)


def id_for(partition: int, partitions: int) -> UUID:
    """A request id whose records go to that partition by Kafka's own rule."""
    while True:
        found = uuid4()
        if (murmur2(str(found).encode()) & 0x7FFFFFFF) % partitions == partition:
            return found


async def check_buried(letters: DeadLetters, wire: Wire, place: Any, reason: Reason, pointer: str) -> None:
    """It is a dead letter for this reason, and holds the record byte for byte."""
    letter, raw = await letters.of(place)
    assert (letter.reason, letter.pointer) == (reason, pointer)
    assert letter.bytes == len(wire.value or b"")
    assert raw.restored() == (wire.key, wire.value, wire.headers)


async def check_undisturbed(web: Portal, request_id: UUID) -> None:
    """A good submission, sent right behind, is answered as if nothing had been."""
    assert (await web.closed(request_id)).outcome == "nothing_held"


def quiet(web: Portal, request_id: UUID | None = None) -> CloudEvent:
    """A good submission of a stranger that asks for no mails."""
    return web.submission(somebody("right.behind@example.org"), notify_by="portal", request_id=request_id)
