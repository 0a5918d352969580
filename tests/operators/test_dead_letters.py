"""`habeas dead-letters`: found, shown and replayed byte for byte, on real Kafka."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from stand import Stand

from habeas.contracts.cloudevents import encode
from habeas.contracts.dead_letter import dead_letter_id
from habeas.contracts.errors import ContractError, Reason
from habeas.contracts.topics import DEAD_LETTER_LIMIT, DEAD_LETTERS, MESSAGE_LIMIT, dead_letters, submissions
from habeas.dead_letters import dead_letter
from tests.core.fixtures import new_topics
from tests.operators.keyboard import Said, habeas

__all__ = ["new_topics"]

SECRET = "ana@example.org"
HEADERS = [("ce_id", b"\xff\xfe"), ("ce_id", None), ("x-note", b"caf\xc3\xa9")]


@dataclass(frozen=True)
class Refused:
    """A record as it stood; `offset` 0 and so on, where no such record needs to be."""

    topic: str
    value: bytes | None
    key: bytes | None = b"\x00key"
    headers: tuple[tuple[str, bytes | None], ...] = tuple(HEADERS)
    partition: int = 0
    offset: int = 0
    timestamp: int = 1_772_442_000_000

    @property
    def id(self) -> UUID:
        return dead_letter_id(self.topic, self.partition, self.offset)


Refuse = Callable[..., Awaitable[UUID]]


@pytest.fixture
async def topic(new_topics: Callable[..., Awaitable[list[str]]]) -> str:
    """Where the refused records stood: nobody else's."""
    return (await new_topics("refused"))[0]


@pytest.fixture
def refuse(stand: Stand) -> Refuse:
    """Writes a dead letter and returns its id."""

    async def write(
        record: Refused, reason: Reason = Reason.NOT_JSON, system: str | None = None, **members: Any
    ) -> UUID:
        event = dead_letter(
            record,
            ContractError(reason, "/personal", "must be JSON"),
            keyring=stand.keyring("operators"),
            reader=system or "operators",
            refused_by=system or "intake",
            now=members.get("now", datetime.now(UTC)),
        )
        key, value, headers = encode(event, DEAD_LETTER_LIMIT)
        async with stand.producer("operators") as producer:
            target = dead_letters(system) if system else DEAD_LETTERS
            await producer.send_and_wait(target, value, key=key, headers=headers)
        return record.id

    return write


async def ask(stand: Stand, *arguments: str, **options: Any) -> Said:
    return await asyncio.to_thread(partial(habeas, "dead-letters", *arguments, "--root", str(stand.root), **options))


async def listed(stand: Stand, *arguments: str) -> dict[UUID, Any]:
    said = await ask(stand, "list", "--json", "--limit", "100000", *arguments)
    assert said.code == 0, said
    return {UUID(each["dead_letter_id"]): each for each in json.loads(said.out)["dead_letters"]}


async def test_listed_by_when_and_why(stand: Stand, refuse: Refuse, topic: str) -> None:
    now = datetime.now(UTC)
    old = await refuse(Refused(topic, b"{", offset=1), now=now - timedelta(days=3))
    new = await refuse(Refused(topic, b"{", offset=2), Reason.KEY_UNKNOWN)
    everything = await listed(stand)
    assert list(everything).index(old) < list(everything).index(new)
    assert everything[new] | {"refused_at": ""} == {
        "dead_letter_id": str(new),
        "reason": "key_unknown",
        "pointer": "/personal",
        "detail": "must be JSON",
        "topic": topic,
        "partition": 0,
        "offset": 2,
        "recorded_at": "2026-03-02T09:00:00Z",
        "refused_at": "",
        "refused_by": "intake",
        "bytes": 1,
        "replayed": None,
    }
    assert {old, new} & (await listed(stand, "--reason", "key_unknown")).keys() == {new}
    assert {old, new} & (await listed(stand, "--since", "2d")).keys() == {new}
    assert {old, new} & (await listed(stand, "--since", (now - timedelta(days=4)).date().isoformat())).keys() == {
        old,
        new,
    }
    assert {old, new} & (await listed(stand, "--since", (now + timedelta(hours=1)).isoformat())).keys() == set()


async def test_listed_for_a_person(stand: Stand, refuse: Refuse, topic: str) -> None:
    await refuse(Refused(topic, b"{", offset=1))
    latest = await refuse(Refused(topic, SECRET.encode(), offset=2))
    said = await ask(stand, "list", "--limit", "100000")
    assert said.code == 0
    assert str(latest) in said.out
    assert topic in said.out
    assert re.search(r"(\d+) of \1 dead letters of operators", said.out)
    assert re.search(r"\n1 of \d+ dead letters", (await ask(stand, "list", "--limit", "1")).out)
    assert SECRET not in said.out
    narrow = await ask(stand, "list", "--limit", "100000", COLUMNS="80")
    assert str(latest) in narrow.out, "the whole id, to be copied"
    assert "…" not in narrow.out


async def test_shown_without_its_content_unless_it_is_opened(stand: Stand, refuse: Refuse, topic: str) -> None:
    wanted = await refuse(Refused(topic, json.dumps({"email": SECRET, "note": "a\x1b[2Jb"}).encode(), offset=3))
    said = await ask(stand, "show", str(wanted))
    assert said.code == 0
    assert SECRET not in said.out
    assert "--open" in said.out
    assert f"{topic}, partition 0, offset 3" in said.out
    assert "ce_id, ce_id, x-note" in said.out
    opened = await ask(stand, "show", str(wanted), "--open")
    assert f'"email": "{SECRET}"' in opened.out
    assert "x-note: café" in opened.out
    assert "ce_id: (null)" in opened.out
    assert "\x1b" not in opened.out
    for_program = json.loads((await ask(stand, "show", str(wanted), "--json")).out)
    assert for_program["header_names"] == ["ce_id", "ce_id", "x-note"]
    assert "value" not in for_program
    with_content = json.loads((await ask(stand, "show", str(wanted), "--json", "--open")).out)
    assert SECRET in with_content["value_text"]


async def test_what_is_no_text_is_shown_as_base64(stand: Stand, refuse: Refuse, topic: str) -> None:
    binary = await refuse(Refused(topic, b"\xff\x00\x1b", offset=1))
    nothing = await refuse(Refused(topic, None, key=None, headers=(), offset=2), Reason.TOMBSTONE)
    assert "(base64) /wAb" in (await ask(stand, "show", str(binary), "--open")).out
    said = (await ask(stand, "show", str(nothing), "--open")).out
    assert "(no value)" in said
    assert "key: (null)" in said


@pytest.mark.parametrize("value", [b'{"a": 1}', b"\xff\x00", b"", None])
async def test_replayed_byte_for_byte(stand: Stand, refuse: Refuse, topic: str, value: bytes | None) -> None:
    wanted = await refuse(Refused(topic, value))
    rehearsed = await ask(stand, "replay", str(wanted))
    assert rehearsed.code == 0
    assert "Would send 1. Nothing was sent" in rehearsed.out
    sent = await ask(stand, "replay", str(wanted), "--yes", "--json")
    assert sent.code == 0, sent
    assert [each["dead_letter_id"] for each in json.loads(sent.out)["sent"]] == [str(wanted)]
    async with stand.watching("operators", topic) as watch:
        record = await watch.first(lambda _: True)
    assert (record.key, record.value or b"", list(record.headers)) == (b"\x00key", value or b"", HEADERS)
    assert len(watch.records) == 1


async def test_a_second_replay_asks_again(stand: Stand, refuse: Refuse, topic: str) -> None:
    wanted = await refuse(Refused(topic, b"{"))
    assert (await ask(stand, "replay", str(wanted), "--yes")).code == 0
    assert (await listed(stand))[wanted]["replayed"]["topic"] == topic
    assert "Replayed" in (await ask(stand, "show", str(wanted))).out
    refused = await ask(stand, "replay", str(wanted), "--yes")
    assert refused.code == 1
    assert "add --again" in refused.words
    assert "1 replayed before" in (await ask(stand, "replay", str(wanted))).out
    assert "Sent 1." in (await ask(stand, "replay", str(wanted), "--yes", "--again")).out
    async with stand.watching("operators", topic) as watch:
        await watch.first(lambda record: record.offset == 1 or len(watch.records) > 1)


async def test_replayed_by_reason_leaves_out_what_was_replayed(
    stand: Stand, refuse: Refuse, topic: str, tmp_path: Path
) -> None:
    """By a clock that is far ahead, so that no letters of others are taken."""
    (tmp_path / "clock").write_text(f"{900 * 86_400}\n")
    ahead = {**stand.env("operators"), "HABEAS_CLOCK_OFFSET_FILE": str(tmp_path / "clock")}
    now = datetime.now(UTC) + timedelta(days=900)
    first = await refuse(Refused(topic, b"1", offset=1), Reason.CONFLICT, now=now)
    other = await refuse(Refused(topic, b"2", offset=2), Reason.TOO_LATE, now=now)
    chosen = ("replay", "--reason", "conflict", "--since", "1h")
    rehearsed = json.loads((await ask(stand, *chosen, "--json", **ahead)).out)
    assert rehearsed["sent"] == []
    planned = {each["dead_letter_id"] for each in rehearsed["would_send"]}
    assert str(first) in planned
    assert str(other) not in planned
    sent = json.loads((await ask(stand, *chosen, "--yes", "--json", **ahead)).out)
    assert str(first) in {each["dead_letter_id"] for each in sent["sent"]}
    again = json.loads((await ask(stand, *chosen, "--yes", "--json", **ahead)).out)
    assert again["sent"] == []
    assert str(first) in {each["dead_letter_id"] for each in again["replayed_before"]}


async def test_what_was_not_kept_whole_is_not_replayed(stand: Stand, refuse: Refuse, topic: str) -> None:
    noise = bytes(range(256)) * (2 * MESSAGE_LIMIT // 256)
    cut = await refuse(Refused(topic, noise, offset=1), Reason.TOO_LARGE)
    headers = tuple((f"h{number}", noise[:100_000]) for number in range(20))
    bare = await refuse(Refused(topic, b"{", headers=headers, offset=2), Reason.HEADER_INVALID)
    for each in (cut, bare):
        for flags in ((), ("--yes",)):
            said = await ask(stand, "replay", str(each), *flags)
            assert said.code == 1
            assert "did not keep its record whole" in said.words


async def test_a_systems_word_sends_nobody_to_anothers_topic(stand: Stand, refuse: Refuse) -> None:
    forged = await refuse(Refused(submissions("web"), b"{", offset=2**40), system="billing")
    own = await refuse(Refused("dsr.system.billing.tasks.v1", b"{", offset=2**40), system="billing")
    assert {forged, own} <= (await listed(stand, "--system", "billing")).keys()
    assert not {forged, own} & (await listed(stand)).keys()
    said = await ask(stand, "replay", "--system", "billing", str(forged), "--yes")
    assert said.code == 1
    assert "cannot be from" in said.words
    assert "Would send 1" in (await ask(stand, "replay", "--system", "billing", str(own))).out


async def test_strangers_among_them_are_counted(stand: Stand, refuse: Refuse, topic: str) -> None:
    async with stand.producer("operators") as producer:
        await producer.send_and_wait(DEAD_LETTERS, b"not one of ours", key=b"x")
        await producer.send_and_wait(DEAD_LETTERS, None, key=b"x")
    wanted = await refuse(Refused(topic, b"{"))
    said = await ask(stand, "list", "--limit", "100000")
    assert str(wanted) in said.out
    assert "are no dead letters" in said.out


async def test_a_key_file_without_the_key_is_told(stand: Stand, refuse: Refuse, topic: str) -> None:
    wanted = await refuse(Refused(topic, SECRET.encode()))
    environment = {**stand.env("operators"), "HABEAS_KEYS": str(stand.env("billing")["HABEAS_KEYS"])}
    said = await asyncio.to_thread(partial(habeas, "dead-letters", "show", str(wanted), "--open", **environment))
    assert said.code == 1
    assert "HABEAS_KEYS" in said.words
    assert SECRET not in said.out


async def test_who_may_not_read_is_told(stand: Stand) -> None:
    said = await asyncio.to_thread(partial(habeas, "dead-letters", "list", **stand.env("web")))
    assert said.code == 1
    assert "may not read" in said.words


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("show", "00000000-0000-4000-8000-000000000000"), 1, "habeas dead-letters list"),
        (("replay", "00000000-0000-4000-8000-000000000000"), 1, "--system"),
        (("show", "nonsense"), 2, "36 characters"),
        (("replay",), 2, "Say which"),
        (("replay", "00000000-0000-4000-8000-000000000000", "--reason", "conflict"), 2, "Say which"),
        (("list", "--reason", "bad"), 2, "There are: tombstone"),
        (("list", "--since", "soon"), 2, "2026-03-02T09:15:00Z"),
        (("list", "--system", "nobody"), 1, "no topic dsr.system.nobody.dead-letters.v1"),
    ],
)
async def test_mistakes_are_told_with_advice(stand: Stand, arguments: tuple[str, ...], code: int, told: str) -> None:
    said = await ask(stand, *arguments)
    assert (said.code, told in said.words) == (code, True), said


def test_without_kafka_it_says_what_to_do() -> None:
    said = habeas("dead-letters", "list", HABEAS_KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1")
    assert said.code == 3
    assert "habeas ps" in said.err
