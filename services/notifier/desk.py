"""Where the mails lie that this process alone may send: handed over by the consumer, or claimed by the worker.

What a batch from Kafka asks for is recorded and claimed by one statement and sent without being read again; only what
finds no room here waits in the table.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from secrets import randbelow
from time import monotonic
from typing import Final
from uuid import UUID, uuid4

from services.notifier.store import Claimed, Lease

LEASE: Final = timedelta(minutes=5)
"""How long a claim lasts, by the database's clock."""

BEGIN_WITHIN: Final = timedelta(minutes=2)
"""From the claim on: a mail begun then is out before its lease ends, since each step of its way has its time-out."""


@dataclass(frozen=True, slots=True)
class Waiting:
    claimed: Claimed
    begin_by: float
    """By the monotonic clock, which goes on while a process is stopped."""


class Desk:
    """Up to `size` mails under way at a time, some more where the consumer and the worker fill it at once."""

    def __init__(self, size: int = 1024) -> None:
        self.size = size
        self.holder = randbelow(2**31 - 1) + 1
        self.awake = asyncio.Event()
        """Set when the worker has something to do."""
        self.more = True
        """Whether something due may be in the table that nobody has claimed."""
        self.is_staffed = False
        """Whether the worker is here, and its database knows it."""
        self._queue: asyncio.Queue[Waiting] = asyncio.Queue()
        self._leases: Counter[UUID] = Counter()
        self._offered: Lease | None = None
        self._offered_at = 0.0

    @property
    def under_way(self) -> int:
        return self._leases.total()

    @property
    def room(self) -> int:
        """For what the worker claims in the table."""
        return max(0, self.size - self.under_way) if self.is_staffed else 0

    @property
    def room_for_new(self) -> int:
        """For what the consumer hands over. Less, so that in a flood what waits in the table has its turn too."""
        return max(0, self.room - self.size // 4)

    def leases(self) -> list[UUID]:
        """All that may be in use: any other of this holder's is nobody's."""
        offered = [self._offered.id] if self._offered else []
        return [*self._leases, *offered]

    def offer(self) -> Lease:
        """A lease to record notices with, `room_for_new` of them at most. One at a time: it takes the place of the one
        before, whose transaction has then failed."""
        self._offered, self._offered_at = self.lease(), monotonic()
        return self._offered

    def lease(self) -> Lease:
        return Lease(uuid4(), LEASE, self.holder)

    def take_over(self, claimed: Iterable[Claimed], *, more: bool) -> None:
        """What was recorded under the lease that was offered, once that is committed."""
        self._offered = None
        self.put(claimed, self._offered_at)
        if more:
            self.wake()

    def put(self, claimed: Iterable[Claimed], claimed_at: float) -> None:
        """`claimed_at` by the monotonic clock, no later than the claim itself."""
        for each in claimed:
            self._leases[each.lease] += 1
            self._queue.put_nowait(Waiting(each, claimed_at + BEGIN_WITHIN.total_seconds()))

    async def next(self) -> Waiting:
        return await self._queue.get()

    def next_at_once(self) -> Waiting | None:
        """None where nothing waits."""
        return None if self._queue.empty() else self._queue.get_nowait()

    def clear(self, claimed: Claimed) -> None:
        """It is answered for, or given up."""
        self._leases[claimed.lease] -= 1
        if not self._leases[claimed.lease]:
            del self._leases[claimed.lease]

    def wake(self) -> None:
        """Something due is in the table."""
        self.more = True
        self.awake.set()
