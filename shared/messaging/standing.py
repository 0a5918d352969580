"""What a pause means to aiokafka's consumer: where it stands, when it goes on. It forgets both with each assignment."""

from collections.abc import Mapping

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition

from shared.database import Pool
from shared.messaging.pauses import Partition, Pauses
from shared.telemetry import METRICS


class Standing(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """Keeps a consumer to the pauses of its service."""

    def __init__(self, pauses: Pauses) -> None:
        self._pauses = pauses

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        pass

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:  # noqa: ARG002
        self._pauses.forget()

    def hold(self, consumer: AIOKafkaConsumer, held: Mapping[Partition, int]) -> None:
        """Go back to what a batch left out, and read no further there. The offsets committed next are these."""
        assigned = consumer.assignment()
        for name, offset in held.items():
            partition = TopicPartition(*name)
            if partition in assigned:
                consumer.seek(partition, offset)
                consumer.pause(partition)

    async def follow(self, consumer: AIOKafkaConsumer, pool: Pool) -> None:
        """Go on where an operator has said so; see what others have paused. Raises what asyncpg raises."""
        pauses = self._pauses
        if pauses.standing or consumer.paused() or not pauses.known:
            await pauses.load(pool)
            for partition in consumer.paused():
                if (partition.topic, partition.partition) not in pauses.standing:
                    consumer.resume(partition)
        METRICS.paused.set(len(self.among(consumer)))

    def among(self, consumer: AIOKafkaConsumer | None) -> dict[Partition, int]:
        """The consumer's partitions that stand still, and at which offset."""
        standing = self._pauses.standing
        if consumer is None or not standing:
            return {}
        assigned = consumer.assignment()
        return {name: offset for name, offset in sorted(standing.items()) if TopicPartition(*name) in assigned}
