"""The table of notices, on real PostgreSQL: once recorded, claimed by one, finished by whoever holds the lease."""

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from habeas.contracts import Keyring
from services.notifier import store
from services.notifier.domain import Accepted, Bounced, Deferred, Key, Outcome, Token, judge, new_token, open_token
from services.notifier.store import Claimed, Finished, Lease, NewNotice
from shared.database import Pool
from tests.core.plans import explain, indexes, scanned
from tests.notices.samples import NOW

LEASE = timedelta(minutes=5)
HOLDER = 7


def lease(holder: int = HOLDER, lasts: timedelta = LEASE) -> Lease:
    return Lease(uuid4(), lasts, holder)


def key(number: int = 1, kind: str = "acknowledged") -> Key:
    return Key(UUID(int=number), kind, "requester", 1)


def new(number: int = 1, kind: str = "acknowledged", token: Token | None = None) -> NewNotice:
    return NewNotice(key(number, kind), b"{}", token)


def done(claimed: Claimed, outcome: Outcome) -> Finished:
    return Finished(claimed, judge(outcome, attempts=claimed.attempts, recorded_at=claimed.recorded_at, now=NOW))


async def states(pool: Pool) -> dict[UUID, str]:
    return {row["request_id"]: row["state"] for row in await pool.fetch("SELECT request_id, state FROM notices")}


async def test_a_notice_is_recorded_once_however_often_it_is_asked_for(pool: Pool, keyring: Keyring) -> None:
    first = new_token(keyring, UUID(int=1), NOW, lambda length: b"1" * length)
    second = new_token(keyring, UUID(int=1), NOW, lambda length: b"2" * length)
    async with pool.acquire() as connection:
        assert await store.record(connection, [new(token=first), new(2)], NOW) == {key(), key(2)}
        assert await store.record(connection, [new(token=second), new(3)], NOW) == {key(3)}
        (claimed, *_) = await store.claim(connection, 10, NOW, lease())
    assert claimed.token_sealed is not None
    assert open_token(keyring, UUID(int=1), claimed.token_sealed) == open_token(keyring, UUID(int=1), first.sealed)


async def test_the_same_notice_twice_in_one_batch_is_one(pool: Pool) -> None:
    async with pool.acquire() as connection:
        assert await store.record(connection, [new(), new()], NOW) == {key()}
        assert await store.record(connection, [], NOW) == set()


async def test_another_notice_recipient_or_ordinal_is_another_mail(pool: Pool) -> None:
    keys = [
        key(),
        key(kind="completed"),
        Key(UUID(int=1), "acknowledged", "dpo", 1),
        Key(UUID(int=1), "completed", "requester", 2),
    ]
    async with pool.acquire() as connection:
        assert await store.record(connection, [NewNotice(item, b"{}") for item in keys], NOW) == set(keys)


async def test_claims_never_overlap(pool: Pool) -> None:
    async with pool.acquire() as connection:
        await store.record(connection, [new(number) for number in range(1, 41)], NOW)

    async def take() -> list[Key]:
        async with pool.acquire() as connection:
            return [claimed.key for claimed in await store.claim(connection, 10, NOW, lease())]

    taken = [item for batch in await asyncio.gather(*(take() for _ in range(6))) for item in batch]
    assert len(taken) == len(set(taken)) == 40


async def test_nothing_is_claimed_before_it_is_due(pool: Pool) -> None:
    async with pool.acquire() as connection:
        await store.record(connection, [new()], NOW)
        assert await store.claim(connection, 10, NOW - timedelta(microseconds=1), lease()) == ()
        assert len(await store.claim(connection, 10, NOW, lease())) == 1


@pytest.mark.parametrize(
    ("outcome", "state", "again"),
    [
        (Accepted(250), "accepted", None),
        (Bounced(550), "bounced", None),
        (Deferred(451), "deferred", timedelta(minutes=1)),
    ],
)
async def test_an_outcome_is_written(pool: Pool, outcome: Outcome, state: str, again: timedelta | None) -> None:
    async with pool.acquire() as connection:
        await store.record(connection, [new()], NOW)
        (claimed,) = await store.claim(connection, 1, NOW, lease())
        assert await states(pool) == {UUID(int=1): "sending"}
        assert await store.finish(connection, [done(claimed, outcome)]) == {key()}
        row = await connection.fetchrow("SELECT * FROM notices")
    assert row is not None
    assert row["state"] == state
    assert row["smtp_code"] == outcome.code
    assert row["next_attempt_at"] == (NOW + again if again else None)
    assert row["accepted_at"] == (NOW if state == "accepted" else None)
    assert row["lease"] is None


async def test_the_lease_runs_by_the_databases_clock_and_not_by_the_workflows(pool: Pool) -> None:
    async with pool.acquire() as connection:
        await store.record(connection, [new()], NOW)
        await store.claim(connection, 1, NOW, lease())
        assert await store.claim(connection, 1, NOW + timedelta(days=31), lease()) == ()


async def test_the_leases_of_a_dead_process_end_and_those_of_a_living_one_do_not(pool: Pool) -> None:
    alive, dead = 11, 12
    async with pool.acquire() as connection, pool.acquire() as living:
        await store.be_present(living, alive)
        await store.record(connection, [new(1), new(2)], NOW)
        (kept,) = await store.claim(connection, 1, NOW, lease(alive))
        (lost,) = await store.claim(connection, 1, NOW, lease(dead))
        assert await store.absent(connection) == {dead}
        assert await store.end_leases_of_the_dead(connection, [alive]) == 0
        assert await store.end_leases_of_the_dead(connection, [alive, dead]) == 1
        assert await store.end_leases_of_the_dead(connection, [alive, dead]) == 0
        (taken,) = await store.claim(connection, 10, NOW, lease())
        assert (taken.key, taken.attempts) == (lost.key, 2)
        assert await store.finish(connection, [done(lost, Accepted(250))]) == set()
        assert await store.finish(connection, [done(kept, Accepted(250))]) == {kept.key}


async def test_who_lost_the_lease_can_no_longer_finish(pool: Pool) -> None:
    async with pool.acquire() as connection:
        await store.record(connection, [new()], NOW)
        (lost,) = await store.claim(connection, 1, NOW, lease(lasts=timedelta(seconds=-1)))
        (held,) = await store.claim(connection, 1, NOW, lease())
        assert (lost.attempts, held.attempts) == (1, 2)
        assert await store.finish(connection, [done(lost, Bounced(550))]) == set()
        assert await states(pool) == {UUID(int=1): "sending"}
        assert await store.finish(connection, [done(held, Accepted(250))]) == {key()}
        assert await store.finish(connection, [done(held, Accepted(250))]) == set()


async def test_a_link_is_found_by_the_digest_of_its_token(pool: Pool, keyring: Keyring) -> None:
    token = new_token(keyring, UUID(int=1), NOW, lambda length: b"1" * length)
    async with pool.acquire() as connection:
        await store.record(connection, [new(token=token), new(2)], NOW)
        found = await store.answer(connection, token.sha256)
        assert found is not None
        assert (found.request_id, found.expires_at, found.event) == (UUID(int=1), NOW, b"{}")
        assert await store.answer(connection, bytes(32)) is None


@pytest.mark.parametrize(
    "change",
    [
        "state = 'lost'",
        "state = 'sending', attempts = 1",
        "lease = gen_random_uuid()",
        "holder = 1",
        "state = 'sending', attempts = 1, lease = gen_random_uuid(), lease_until = now()",
        "state = 'accepted', attempts = 1, accepted_at = now()",
        "state = 'accepted', attempts = 1, next_attempt_at = NULL",
        "state = 'bounced', attempts = 1",
        "state = 'deferred'",
        "next_attempt_at = NULL",
        "ordinal = 0",
        "recipient = 'ana@example.com'",
        "notice = 'Completed!'",
        "smtp_code = 99",
        "answer_token_sha256 = decode(repeat('00', 31), 'hex')",
        "answer_token_sha256 = decode(repeat('00', 32), 'hex')",
        "answer_expires_at = now()",
    ],
)
async def test_an_impossible_state_cannot_be_stored(pool: Pool, change: str) -> None:
    async with pool.acquire() as connection:
        await store.record(connection, [new()], NOW)
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.execute(f"UPDATE notices SET {change}")


async def test_hot_statements_use_indexes(pool: Pool) -> None:
    """Thousands of mails that are out must cost the next ones nothing."""
    load = """
        INSERT INTO notices (request_id, notice, recipient, ordinal, event, recorded_at, state, attempts, accepted_at)
        SELECT gen_random_uuid(), 'completed', 'requester', 1, '', now(), 'accepted', 1, now()
        FROM generate_series(1, 50000)
    """
    ids, some = [uuid4() for _ in range(50)], ["completed"] * 50
    keys = (ids, some, ["requester"] * 50, [1] * 50)
    expected = {
        "claim": ((NOW, 200, uuid4(), LEASE, HOLDER), {"notices_due", "notices_pkey"}),
        "finish": ((*keys, ids, ["accepted"] * 50, [250] * 50, [NOW] * 50, [None] * 50), {"notices_pkey"}),
        "answer": ((bytes(32),), {"notices_answer_token_sha256_key"}),
        "end_lost_leases": ((HOLDER, ids, LEASE), {"notices_holder"}),
        "absent": ((1,), {"notices_holder"}),
        "end_leases_of_the_dead": ((1, [HOLDER]), {"notices_holder"}),
    }
    async with pool.acquire() as connection:
        await connection.execute(load)
        await store.record(connection, [new(1), new(2)], NOW)
        await store.record(connection, [new(3), new(4)], NOW, lease(), 2)
        await connection.execute("ANALYZE notices")
        for name, (arguments, wanted) in expected.items():
            nodes = await explain(connection, store._SQL[name], *arguments)
            used = {index for index in indexes(nodes) if index.startswith("notices")}  # and not those of PostgreSQL
            assert (name, "notices" in scanned(nodes), used) == (name, False, wanted)
