"""An outbox for measuring a service without Kafka: all is written as ever, and taken as sent."""

from collections.abc import Sequence
from typing import Any

from shared.database import Pool
from shared.messaging.outbox import Outbox, Outgoing, Repair, nothing_to_repair


class WithoutKafka(Outbox):
    """What would have been sent stands in `taken`."""

    def __init__(self, pool: Pool, repair: Repair = nothing_to_repair) -> None:
        super().__init__(pool, {}, repair)
        self.taken: list[Outgoing] = []

    async def _send(self, records: Sequence[Outgoing], *_: Any, **__: Any) -> list[Outgoing]:
        self.taken += records
        return list(records)
