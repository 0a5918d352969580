"""What the board takes from Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from types import SimpleNamespace
from uuid import UUID

import pytest
from seen import NOW, status

from habeas.contracts import CloudEvent, ContractError, Keyring, Reason
from habeas.contracts.catalogue import write
from habeas.contracts.cloudevents import encode
from habeas.contracts.result import SummaryItem, TaskFinished
from habeas.contracts.sealing import JsonWebKey, new_key
from habeas.contracts.status import StatusChanged, StatusReason
from habeas.dead_letters import dead_letter
from operations.demo.scenario import ACCESS, BY_KEY
from operations.demo.watch import Board


def operators() -> Keyring:
    return Keyring([JsonWebKey(**new_key("operators"))])


def record(event: CloudEvent) -> SimpleNamespace:
    key, value, headers = encode(event)
    return SimpleNamespace(key=key, value=value, headers=headers)


def changed(version: int, state: str, reason: str | None = None) -> StatusChanged:
    return status(BY_KEY[ACCESS], version=version, state=state, reason=StatusReason(code=reason) if reason else None)


def heard(statuses: Iterable[StatusChanged]) -> tuple[Board, list[StatusChanged]]:
    shown: list[StatusChanged] = []
    board = Board(on_status=shown.append)
    for each in statuses:
        board.hear(each)
    return board, shown


def test_a_lower_version_changes_nothing() -> None:
    board, shown = heard([changed(2, "closed"), changed(1, "in_progress"), changed(2, "closed")])
    assert [each.version for each in shown] == [2]
    assert [each.state for each in board.statuses.values()] == ["closed"]


def test_the_states_passed_are_remembered_with_their_reasons() -> None:
    board, _ = heard([changed(1, "triage", "child_reported"), changed(2, "received"), changed(3, "closed")])
    assert list(board.passed.values()) == [["triage: child_reported", "received", "closed"]]


def test_what_each_task_did_is_kept_beside_what_an_earlier_one_did() -> None:
    board = Board()
    for task in (UUID(int=1), UUID(int=2), UUID(int=2)):
        finished = TaskFinished(
            task_id=task,
            request_id=UUID(int=3),
            system="billing",
            attempt=task.int,
            action="restrict",
            outcome="completed",
            finished_at=NOW,
            summary=(SummaryItem(category="account", did="restricted", count=task.int),),
            personal="e30.." + 16 * "A" + ".AA." + 22 * "A",
        )
        body = write(finished, subject=finished.request_id, source="systems/billing", now=NOW)
        board.take(record(body), operators())
    (tasks,) = board.summaries.values()
    assert [item.count for items in tasks.values() for item in items] == [1, 2]


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


def test_what_was_refused_before_is_of_no_concern() -> None:
    keyring = operators()
    board = Board(since=NOW + timedelta(seconds=1))
    board.take(refused(keyring), keyring)
    assert board.letters == []


async def test_what_cannot_be_read_is_raised_where_something_is_awaited() -> None:
    class Broken:
        def __aiter__(self) -> Broken:
            return self

        async def __anext__(self) -> SimpleNamespace:
            event = refused(operators())
            return SimpleNamespace(key=event.key, value=b"{", headers=event.headers)

    board = Board()
    following = asyncio.create_task(board.follow(Broken(), operators()))
    with pytest.raises(ContractError):
        await board.until(lambda: False, "nothing")
    await following
