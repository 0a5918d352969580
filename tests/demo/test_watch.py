"""What the board takes from Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from types import SimpleNamespace

import pytest
from seen import NOW, status

from habeas.contracts import CloudEvent, ContractError, Keyring, Reason
from habeas.contracts.catalogue import write
from habeas.contracts.cloudevents import encode
from habeas.contracts.sealing import JsonWebKey, new_key
from habeas.contracts.status import StatusChanged
from habeas.dead_letters import dead_letter
from operations.demo.scenario import ACCESS, BY_KEY
from operations.demo.watch import Board


def operators() -> Keyring:
    return Keyring([JsonWebKey(**new_key("operators"))])


def record(event: CloudEvent) -> SimpleNamespace:
    key, value, headers = encode(event)
    return SimpleNamespace(key=key, value=value, headers=headers)


def changed(version: int, state: str) -> SimpleNamespace:
    body = status(BY_KEY[ACCESS], version=version, state=state)
    return record(write(body, subject=body.request_id, source="habeas/collector", now=NOW))


def taken(records: Iterable[SimpleNamespace]) -> tuple[Board, list[StatusChanged]]:
    shown: list[StatusChanged] = []
    board = Board(on_status=shown.append)
    for each in records:
        board.take(each, operators())
    return board, shown


def test_a_lower_version_changes_nothing() -> None:
    board, shown = taken([changed(2, "closed"), changed(1, "in_progress"), changed(2, "closed")])
    assert [each.version for each in shown] == [2]
    assert [each.state for each in board.statuses.values()] == ["closed"]


def refused(keyring: Keyring) -> SimpleNamespace:
    raw = SimpleNamespace(topic="t", partition=0, offset=7, timestamp=0, key=b"k", value=b"{", headers=[])
    return record(
        dead_letter(
            raw,
            ContractError(Reason.NOT_JSON),
            keyring=keyring,
            reader="operators",
            refused_by="intake",
            now=NOW,
        )
    )


def test_a_dead_letter_is_opened_with_the_operators_key() -> None:
    keyring = operators()
    board = Board()
    board.take(refused(keyring), keyring)
    (letter,) = board.letters
    assert letter.record is not None
    assert letter.record.restored()[1] == b"{"


def test_a_dead_letter_under_another_key_stays_shut() -> None:
    board = Board()
    board.take(refused(operators()), operators())
    assert [letter.record for letter in board.letters] == [None]


async def test_what_cannot_be_read_is_raised_where_something_is_awaited() -> None:
    class Broken:
        def __aiter__(self) -> Broken:
            return self

        async def __anext__(self) -> SimpleNamespace:
            event = record(
                write(status(BY_KEY[ACCESS]), subject=status(BY_KEY[ACCESS]).request_id, source="x", now=NOW)
            )
            return SimpleNamespace(key=event.key, value=b"{", headers=event.headers)

    board = Board()
    following = asyncio.create_task(board.follow(Broken(), operators()))
    with pytest.raises(ContractError):
        await board.until(lambda: False, "nothing")
    await following
