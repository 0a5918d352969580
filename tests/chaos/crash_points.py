"""The points at which a process may die between two of its writes, and which of their passages a run strikes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final, NamedTuple

BATCH, SWEEP, BESIDE = "batch", "sweep", "beside"
"""Who is at work: the consumer, the outbox's sweeper, or a worker beside the consumer."""

BEGUN = "before the transaction"
DECIDED = "decided, before the outbox's rows"
WRITTEN = "rows written, before the commit"
COMMITTED = "committed, before the first record is sent"
SENDING = "a part of the records in Kafka"
SENT = "all records in Kafka, before anybody knows"
REPAIRING = "sent, before a look whether it was the newest word"
HANDLED = "published, before the offsets are committed"
READ = "offsets committed, before the rows are deleted"
ENVELOPE = "mail claimed, before its content"
TAKEN = "mail taken, before SMTP's yes"
PUT = "answer in the store, before the commit"


class Point(NamedTuple):
    service: str
    worker: str
    at: str

    def __str__(self) -> str:
        return f"{self.service}, {self.worker}: {self.at}"


def _points(service: str, worker: str, *names: str) -> frozenset[Point]:
    return frozenset(Point(service, worker, name) for name in names)


_SAID: Final = (DECIDED, WRITTEN, COMMITTED, SENDING, SENT)

POINTS: Final = frozenset[Point]().union(
    *(_points(service, BATCH, BEGUN, *_SAID, HANDLED, READ) for service in ("intake", "fanout", "collector")),
    _points("notifier", BATCH, BEGUN, DECIDED, WRITTEN, COMMITTED, HANDLED, READ),
    *(_points(service, SWEEP, SENDING, SENT) for service in ("intake", "fanout", "collector", "notifier")),
    _points("collector", BATCH, REPAIRING),
    _points("collector", BESIDE, PUT, *_SAID),
    _points("notifier", BESIDE, ENVELOPE, TAKEN, *_SAID),
)
"""Every one that a run must have struck."""


@dataclass
class Strikes:
    """Kills at the passages whose number, counted by point over all processes of a service, is `first`, `first + every`
    and so on, `most` times. So `every` runs strike each of the first `every * most` passages once."""

    first: int
    every: int
    most: int
    passed: Counter[Point] = field(default_factory=Counter)
    struck: Counter[Point] = field(default_factory=Counter)

    def fall_on(self, point: Point) -> bool:
        """Counts a passage. Whether the process dies there."""
        number = self.passed[point]
        self.passed[point] += 1
        nth, rest = divmod(number - self.first, self.every)
        falls = rest == 0 and 0 <= nth < self.most
        self.struck[point] += falls
        return falls
