"""How far each consumer is behind: messages in its topics that its group has not committed."""

from __future__ import annotations

from collections import defaultdict

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

TIMEOUT = 10  # seconds for each answer of the cluster


def lag_by_name(admin: AdminClient) -> dict[str, int]:
    """Return, for each service and participant with a consumer group, how many messages it is behind; blocking.

    Raises KafkaException when the cluster does not answer.
    """
    lag: dict[str, int] = defaultdict(int)
    for group in admin.list_consumer_groups(request_timeout=TIMEOUT).result().valid:
        name = _owner(group.group_id)
        if name is None:
            continue
        asked = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group.group_id)])
        committed = [part for part in asked[group.group_id].result(TIMEOUT).topic_partitions if part.offset >= 0]
        if not committed:
            lag[name] += 0
            continue
        ends = admin.list_offsets(
            {TopicPartition(each.topic, each.partition): OffsetSpec.latest() for each in committed}
        )
        at = {(part.topic, part.partition): end for part, end in ends.items()}
        lag[name] += sum(
            max(0, at[each.topic, each.partition].result(TIMEOUT).offset - each.offset) for each in committed
        )
    return dict(lag)


def _owner(group: str) -> str | None:
    """Return whose group it is: `habeas.<service>`, `dsr.<participant>.…`."""
    prefix, _, rest = group.partition(".")
    if prefix == "habeas":
        return rest
    return rest.partition(".")[0] if prefix == "dsr" else None
