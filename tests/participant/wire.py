"""A system of a test's own on real Kafka: topics, keys, settings; run inside the test or as a process."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from habeas.contracts import topics
from habeas.contracts.sealing import new_key
from habeas.participant import Participant, ParticipantSettings
from operations.stack.ports import choose
from tests.participant.office import Office, kafka_settings


@dataclass
class Wire:
    """`async with Wire.laid(operators_env, folder) as wire:`"""

    name: str
    folder: Path
    operators: Mapping[str, str]
    office: Office
    port: int

    @classmethod
    @asynccontextmanager
    async def laid(cls, operators: Mapping[str, str], folder: Path) -> AsyncIterator[Self]:
        name = f"toy-{uuid4().hex[:8]}"
        keys = folder / "keys.json"
        keys.write_text(json.dumps({"keys": [new_key(name)]}))
        admin = AIOKafkaAdminClient(**kafka_settings(operators).client_options())
        await admin.start()
        names = [topics.tasks(name), topics.results(name), topics.dead_letters(name)]
        await admin.create_topics([NewTopic(topic, 2, 1, topic_configs=_SIZE) for topic in names])
        try:
            async with Office(name, operators=operators, system={"HABEAS_KEYS": str(keys)}) as office:
                yield cls(name, folder, operators, office, choose("a test's system"))
        finally:
            await admin.delete_topics(names)
            await admin.close()

    @property
    def keys(self) -> Path:
        return self.folder / "keys.json"

    @asynccontextmanager
    async def running(self, participant: Participant[Any]) -> AsyncIterator[asyncio.Task[None]]:
        """`participant` in this process; it is asked to stop at the end, and what it raised is raised."""
        stop = asyncio.Event()
        settings = ParticipantSettings(keys=self.keys, http_port=self.port)
        serving = asyncio.create_task(participant.serve(stop, kafka_settings(self.operators), settings))
        try:
            yield serving
        finally:
            stop.set()
            await serving

    async def process(self, strike: str = "") -> asyncio.subprocess.Process:
        """The toy as a process of its own. Its logs can be read from its stderr."""
        data = self.folder / "data"
        env = {
            **{name: value for name, value in self.operators.items() if name.startswith("HABEAS_KAFKA_")},
            "PATH": "/usr/bin:/bin",
            "HABEAS_KEYS": str(self.keys),
            "HABEAS_HTTP_PORT": str(self.port),
            "HABEAS_DATA_DIR": str(data),
            "TOY_NAME": self.name,
            "TOY_STRIKE": strike,
        }
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.participant.toy_process", env=env, stderr=asyncio.subprocess.PIPE
        )

    async def rewind(self) -> None:
        """As if no offset had been committed: the next start reads everything again."""
        consumer = AIOKafkaConsumer(
            **kafka_settings(self.operators).client_options(),
            group_id=f"dsr.{self.name}.tasks",
            enable_auto_commit=False,
        )
        await consumer.start()
        places = [TopicPartition(topics.tasks(self.name), number) for number in range(2)]
        consumer.assign(places)
        await consumer.commit(dict.fromkeys(places, 0))
        await consumer.stop()


_SIZE = {"max.message.bytes": str(topics.DEAD_LETTER_LIMIT)}
