"""Intake's table on real PostgreSQL."""

import asyncio
import random
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from services.intake import store
from services.intake.domain import reference
from services.intake.store import Copy, Kind, Known, Message, NewRequest, Saved
from shared.database import Pool
from shared.events import Decision
from tests.core.plans import explain, indexes, scanned
from tests.core.workbench import NOW
from tests.intake.samples import SEALED

COPY = Copy('{"right": "access"}', SEALED)
KEPT = {"submission": COPY.submission, "personal": COPY.personal}


def new(number: int = 1, **members: Any) -> NewRequest:
    request_id, kid = UUID(int=number), "services/1"
    made = NewRequest(request_id, reference(number), "web", Decision.ACCEPTED, None, bytes(32), kid, NOW, NOW)
    return made._replace(**members)


async def test_the_first_insert_counts(pool: Pool) -> None:
    async with pool.acquire() as connection:
        assert await store.insert(connection, [new(1), new(2)]) == {UUID(int=1), UUID(int=2)}
        other = new(1, reference=reference(9), portal="helpdesk", fingerprint=b"x" * 32, kid="services/2")
        assert await store.insert(connection, [other, new(3)]) == {UUID(int=3)}
        found = await store.known(connection, [UUID(int=1), UUID(int=4)])
    assert found == {UUID(int=1): Known("web", bytes(32), "services/1")}


async def test_the_same_id_twice_in_one_statement_is_one(pool: Pool) -> None:
    async with pool.acquire() as connection:
        assert await store.insert(connection, [new(1), new(1, reference=reference(2))]) == {UUID(int=1)}
        assert await store.insert(connection, []) == set()


async def test_two_processes_open_the_same_request_once(pool: Pool) -> None:
    """The second waits for the first to commit, and then sees what it knows."""
    first = await pool.acquire()
    transaction = first.transaction()
    await transaction.start()
    assert await store.insert(first, [new(1)]) == {UUID(int=1)}

    async def second() -> tuple[frozenset[UUID], Any]:
        async with pool.acquire() as connection, connection.transaction():
            inserted = await store.insert(connection, [new(1, reference=reference(2))])
            return inserted, await store.known(connection, [UUID(int=1)])

    waiting = asyncio.create_task(second())
    while not await pool.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
        assert not waiting.done()
    await transaction.commit()
    inserted, known = await waiting
    await pool.release(first)
    assert inserted == set()
    assert known.keys() == {UUID(int=1)}


async def test_shuffled_batches_at_once_do_not_deadlock(pool: Pool) -> None:
    requests = [new(number) for number in range(1, 200)]

    async def insert(seed: int) -> frozenset[UUID]:
        async with pool.acquire() as connection, connection.transaction():
            return await store.insert(connection, random.Random(seed).sample(requests, len(requests)))

    opened = await asyncio.gather(*(insert(seed) for seed in range(12)))
    assert sorted(UUID(int=number) for number in range(1, 200)) == sorted(each for some in opened for each in some)


async def test_reference_numbers_are_never_handed_out_twice(pool: Pool) -> None:
    async def draw() -> list[int]:
        async with pool.acquire() as connection:
            return await store.reference_numbers(connection, 50)

    drawn = [number for some in await asyncio.gather(*(draw() for _ in range(6))) for number in some]
    assert len(set(drawn)) == 300


@pytest.mark.parametrize(
    "wrong",
    [
        {"reference": "HB-1234-567"},
        {"reference": "HB-ILOU-0000"},
        {"decision": "perhaps"},
        {"decision": Decision.ACCEPTED, "reason": "identity_not_established"},
        {"decision": Decision.REFUSED, "reason": None},
        {"fingerprint": b"short"},
        KEPT,  # nothing is kept of what is accepted
        {"decision": Decision.TRIAGE, "reason": "acts_for_another"},  # and everything of what is not decided
        {"decision": Decision.TRIAGE, "reason": "acts_for_another", **KEPT, "withdrawn_at": NOW},
        {"decision": Decision.REFUSED, "reason": "not_controller", "withdrawn_at": NOW},
        {"decision": "withdrawn"},
        {"decision": "withdrawn", "withdrawn_at": NOW, **KEPT},
        {"decision": "withdrawn", "withdrawn_at": NOW, "reason": "acts_for_another"},
    ],
)
async def test_impossible_rows_cannot_be_stored(pool: Pool, wrong: dict[str, Any]) -> None:
    async with pool.acquire() as connection:
        with pytest.raises(asyncpg.CheckViolationError):
            await store.insert(connection, [new(**wrong)])


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "shout"},
        {"early": True},  # without its content
        {"personal": SEALED},  # with it, though it has taken effect
        {"reason": "changed_mind"},
        {"kind": Kind.WITHDRAWAL, "answers": UUID(int=1)},
        {"kind": Kind.WITHDRAWAL, "early": True, "personal": SEALED},
    ],
)
async def test_impossible_messages_cannot_be_stored(pool: Pool, wrong: dict[str, Any]) -> None:
    message = Message("web", UUID(int=1), UUID(int=2), Kind.AMENDMENT, 0, NOW, early=False)
    async with pool.acquire() as connection:
        await store.remember(connection, [message])
        with pytest.raises(asyncpg.CheckViolationError):
            await store.remember(connection, [replace(message, ce_id=UUID(int=3), **wrong)])


async def test_what_is_locked_is_what_was_saved(pool: Pool) -> None:
    """And a copy that is not given again is gone."""
    in_triage = new(1, decision=Decision.TRIAGE, reason="acts_for_another", **KEPT)
    async with pool.acquire() as connection, connection.transaction():
        await store.insert(connection, [in_triage, new(2)])
        first, second = await store.lock(connection, [UUID(int=2), UUID(int=1), UUID(int=3)])
        assert (first.request_id, first.decision, first.reason, first.version) == (
            UUID(int=1),
            "triage",
            "acts_for_another",
            1,
        )
        assert (first.portal, first.reference, first.opened_at) == ("web", reference(1), NOW)
        assert first.copy == COPY
        assert (second.decision, second.copy) == ("accepted", None)
        again = Saved(UUID(int=1), "triage", "scope_unknown", 2, None, COPY)
        await store.save(connection, [again, Saved(UUID(int=2), "accepted", None, 1, NOW, None)])
        first, second = await store.lock(connection, [UUID(int=1), UUID(int=2)])
        assert (first.reason, first.version, first.copy, second.withdrawn_at) == ("scope_unknown", 2, COPY, NOW)
        await store.save(connection, [Saved(UUID(int=1), "accepted", None, 3, None, None)])
        (first,) = await store.lock(connection, [UUID(int=1)])
        assert (first.decision, first.version, first.copy) == ("accepted", 3, None)


async def test_requests_that_were_in_triage_before_copies_were_kept_can_end(pool: Pool) -> None:
    """The migration leaves them as they are; only what is written from then on has to have its copy."""
    async with pool.acquire() as connection:
        rule = await connection.fetchval(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'kept_in_triage'"
        )
        await connection.execute("ALTER TABLE requests DROP CONSTRAINT kept_in_triage")
        await store.insert(connection, [new(1, decision=Decision.TRIAGE, reason="acts_for_another")])
        await connection.execute(f"ALTER TABLE requests ADD CONSTRAINT kept_in_triage {rule}")
        async with connection.transaction():
            (old,) = await store.lock(connection, [UUID(int=1)])
            assert old.copy is None
            await store.save(connection, [Saved(UUID(int=1), "withdrawn", None, 1, NOW, None)])
        with pytest.raises(asyncpg.CheckViolationError):
            await store.insert(connection, [new(2, decision=Decision.TRIAGE, reason="acts_for_another")])


async def test_a_reference_belongs_to_one_request(pool: Pool) -> None:
    async with pool.acquire() as connection:
        await store.insert(connection, [new(1)])
        with pytest.raises(asyncpg.UniqueViolationError):
            await store.insert(connection, [new(2, reference=reference(1))])


async def test_hot_statements_use_indexes(pool: Pool) -> None:
    load = """
        INSERT INTO requests (request_id, reference, portal, decision, fingerprint, kid, received_at, opened_at)
        SELECT gen_random_uuid(), 'HB-' || substr(translate(upper(md5(n::text)), 'ILOU', '0000'), 1, 4) || '-'
               || lpad(upper(to_hex(n)), 4, '0'), 'web', 'accepted', decode(repeat('00', 32), 'hex'),
               'services/1', now(), now()
        FROM generate_series(1, 50000) AS n;
        INSERT INTO messages (portal, ce_id, request_id, kind, place, heard_at, early)
        SELECT 'web', gen_random_uuid(), request_id, 'withdrawal', 1, now() - random() * interval '1 day', false
        FROM requests;
        INSERT INTO messages (portal, ce_id, request_id, kind, place, heard_at, early)
        SELECT 'web', gen_random_uuid(), gen_random_uuid(), 'withdrawal', 1, now() - random() * interval '1 day', true
        FROM generate_series(1, 1000);
        INSERT INTO decisions SELECT request_id, request_id, fingerprint, true, NULL, now() FROM requests;
        ANALYZE;
    """
    ids = [uuid4() for _ in range(500)]
    few = ids[:50]
    portals = ["web"] * 50
    saved = (["accepted"] * 50, [None] * 50, [2] * 50, *([[None] * 50] * 3), [0] * 50)
    expected = {
        "known": ((ids,), {"requests_pkey"}),
        "lock": ((ids,), {"requests_pkey"}),
        "save": ((few, *saved), {"requests_pkey"}),
        "heard": ((portals, few), {"messages_pkey"}),
        "early": ((ids,), {"messages_early"}),
        "settle_early": ((portals, few), {"messages_pkey"}),
        "forget_early": ((NOW - timedelta(days=3000),), {"messages_early_since"}),
        "decisions": ((ids,), {"decisions_pkey"}),
    }
    async with pool.acquire() as connection:
        await connection.execute(load)
        for name, (arguments, wanted) in expected.items():
            nodes = await explain(connection, store._SQL[name], *arguments)
            assert (name, scanned(nodes), indexes(nodes)) == (name, set(), wanted)
