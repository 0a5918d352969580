"""Kafka's nodes as one cluster: who leads what, and whether a node may be lost."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException

from operations.errors import OperationsError, UsageError
from operations.stack.folder import read_json
from operations.stack.kafka import KafkaNode, admin_client, client_variables, node_name
from operations.stack.ports import HOST
from operations.topology import OPERATORS

QUORUM_STATE = "__cluster_metadata-0/quorum-state"  # in a node's data; written whenever it learns of an election
TIMEOUT = 5.0  # seconds for an answer of the cluster, a node of which may just have died
PAUSE = 0.2  # seconds between two looks


@dataclass(frozen=True, slots=True)
class Cluster:
    """Nodes are told by their names in the stack: `kafka`, `kafka-2`, `kafka-3`."""

    nodes: tuple[KafkaNode, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(node.name for node in self.nodes)

    @property
    def copies(self) -> int:
        """Of each partition."""
        return self.nodes[0].copies

    def controller(self) -> str:
        """Return the active controller's node, as the last election that a node knows of had it.

        From the nodes' files, since no client's library asks for it: a broker names any live one as the controller.
        Raises LookupError before the first election.
        """
        states: list[Mapping[str, Any]] = [read_json(node.data / QUORUM_STATE) for node in self.nodes]
        elected = [state for state in states if state.get("leaderId", -1) >= 0]
        if not elected:
            raise LookupError("Kafka's controllers have elected none of them yet: wait until the stack is up")
        return node_name(max(elected, key=lambda state: int(state["leaderEpoch"]))["leaderId"])

    async def leader(self, topic: str, partition: int = 0) -> str:
        """Return the node that leads a partition, as the cluster has it now. Raises KafkaException, LookupError."""
        leader = (await self._topics())[topic].partitions[partition].leader
        if leader < 0:
            raise LookupError(f"{topic}/{partition} has no leader: too many of its nodes are away")
        return node_name(leader)

    async def wait_in_sync(self, timeout: float = 60.0) -> None:  # noqa: ASYNC109
        """Wait until all copies of every partition are in sync, those of Kafka's own topics too.

        Raises OperationsError after `timeout` seconds.

        A node that has just died counts as in sync until it is missed, some seconds later: wait first until it is back.
        """
        lagging = ["no answer"]
        try:
            async with asyncio.timeout(timeout):
                while lagging:
                    try:
                        lagging = await self._lagging()
                    except KafkaException as error:
                        lagging = [error.args[0].str()]
                    await asyncio.sleep(PAUSE if lagging else 0)
        except TimeoutError:
            raise OperationsError(
                f"Kafka's copies are not all in sync after {timeout:g} s: {', '.join(lagging[:5])}. What keeps a node "
                f"from following is in the stack's logs of {', '.join(self.names)}."
            ) from None

    async def _lagging(self) -> list[str]:
        return [
            f"{name}/{number}"
            for name, topic in (await self._topics()).items()
            for number, partition in topic.partitions.items()
            if partition.leader < 0 or {*partition.isrs} != {*partition.replicas}
        ]

    async def _topics(self) -> Mapping[str, Any]:
        servers = ",".join(f"{HOST}:{node.port}" for node in self.nodes)
        variables = client_variables(servers, OPERATORS, self.nodes[0].passwords[OPERATORS])
        # A client of its own each time: one that lives on may hold on to what a dead node told it.
        return await asyncio.to_thread(lambda: admin_client(variables).list_topics(timeout=TIMEOUT).topics)


def check_number(root: Path, brokers: int) -> None:
    """Raise UsageError when the stack in `root` was begun with another number of Kafka nodes.

    Nodes with empty logs could outvote those that know the topics.
    """
    folder = root / "kafka"
    found = len([*folder.iterdir()]) if folder.is_dir() else brokers
    if found != brokers:
        raise UsageError(
            f"The stack in {root} was begun with {found} Kafka node{'s' if found > 1 else ''}, and their number is for "
            f"life. Start it with `--brokers {found}`, or begin anew with `--fresh`."
        )
