"""Partitions that stand still: a run of undecodable records pauses theirs until an operator lets it go on.

One bad record is an accident of its own and goes to the dead letters. A run of them is a sender gone wrong, a missing
key or a version of ours that cannot read: to drain the topic into the dead letters would only make work. So the first
records of a run are buried, up to the limit; then the partition stands at the next one, whose offset is committed. The
pause and its end are rows of the service's schema, since memory knows nothing of a restart or of a rebalance.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from shared.database import Pool, load_queries
from shared.messaging.received import Record
from shared.messaging.work import Work

_SQL = load_queries(Path(__file__).with_name("queries.sql"))
_log = structlog.get_logger(__name__)

Partition = tuple[str, int]
"""Topic and number."""


@dataclass(slots=True)
class _Run:
    """Undecodable records of one partition with none between that decodes."""

    last: int
    length: int = 1


@dataclass(slots=True)
class Pauses:
    """What one service knows of them. `limit` undecodable records in a row are buried, the next one pauses."""

    limit: int = 100
    known: bool = False
    """Whether the table was read since partitions were assigned."""
    standing: dict[Partition, int] = field(default_factory=dict)
    """Paused: the offset of the first record that was not taken."""
    runs: dict[Partition, _Run] = field(default_factory=dict)
    unwritten: dict[Partition, int] = field(default_factory=dict)
    """Of those, what the table has yet to be told."""
    _let_through: dict[Partition, int] = field(default_factory=dict)
    _held: dict[Partition, int] = field(default_factory=dict)
    _changes: int = 0

    def forget(self) -> None:
        """Partitions were assigned: whoever had them before may have paused some."""
        self.known = False
        self.runs.clear()

    async def load(self, pool: Pool) -> None:
        """As the table has it. Raises what asyncpg raises."""
        changes = self._changes
        rows = await pool.fetch(_SQL["pauses"])
        if changes != self._changes:
            return  # a batch has paused or written meanwhile: what was read is older than what is known
        before = self.standing
        self.standing = {
            (row["topic"], row["partition"]): row["at_offset"] for row in rows if row["resumed_through"] is None
        } | self.unwritten
        self._let_through = {
            (row["topic"], row["partition"]): row["resumed_through"]
            for row in rows
            if row["resumed_through"] is not None
        }
        self.known = True
        for partition in before.keys() - self.standing.keys():
            self.runs.pop(partition, None)
            _log.info("partition_resumed", topic=partition[0], partition=partition[1], offset=before[partition])

    def begin(self) -> None:
        """A batch begins."""
        self._held = {}

    @property
    def held(self) -> Mapping[Partition, int]:
        """Where the batch stopped short: the first offset of each partition that was left out of it."""
        return self._held

    def holds(self, record: Record) -> bool:
        """Whether its partition stands before it: then it is left out."""
        partition = (record.topic, record.partition)
        stands_at = self.standing.get(partition)
        if stands_at is None or record.offset < stands_at:
            return False
        self._held[partition] = min(record.offset, self._held.get(partition, record.offset))
        return True

    def accept(self, record: Record) -> None:
        """It decodes: the end of a run."""
        self.runs.pop((record.topic, record.partition), None)

    def refuse(self, record: Record) -> bool:
        """It does not decode. Whether it is one too many, and its partition paused: then it is left out, not buried."""
        partition = (record.topic, record.partition)
        if record.offset < self._let_through.get(partition, 0):
            return False
        run = self.runs.get(partition)
        if run is None:
            self.runs[partition] = _Run(record.offset)
            return False
        if record.offset <= run.last:  # counted before: the batch is tried again
            return False
        if run.length < self.limit:
            run.last, run.length = record.offset, run.length + 1
            return False
        self.standing[partition] = self.unwritten[partition] = record.offset
        self._changes += 1
        return self.holds(record)

    async def write(self, work: Work) -> None:
        """In the transaction that buries the run."""
        await work.connection.execute(
            _SQL["pause"],
            [topic for topic, _ in self.unwritten],
            [number for _, number in self.unwritten],
            list(self.unwritten.values()),
            work.now,
        )
        work.after_commit.append(self._written)

    def _written(self) -> None:
        for (topic, number), offset in self.unwritten.items():
            _log.error(
                "partition_paused", topic=topic, partition=number, offset=offset, until=f"habeas topics resume {topic}"
            )
        self.unwritten.clear()
        self._changes += 1
