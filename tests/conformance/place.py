"""A place for a system of a test's own in the stack that runs: topics, key, registry, environment files."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from habeas.contracts import KeyFile, topics
from habeas.contracts.sealing import new_key
from operations.conformance import Bench, People, Subject
from operations.conformance.office import Office
from operations.connection import client_options
from operations.stack.folder import dotenv, read_json
from operations.stack.ports import choose
from operations.stack.stack import REGISTRY
from shared.registry import load_registry


@dataclass(frozen=True)
class Place:
    """`async with Place.laid(name, entry, stand.env("operators"), folder) as place:`"""

    name: str
    root: Path
    """Looks like the folder of a local stack: `env/operators`, `env/<name>`."""
    registry: Path
    operators: Mapping[str, str]
    environment: Mapping[str, str]
    """The system's own."""

    @classmethod
    @asynccontextmanager
    async def laid(
        cls, name: str, entry: str, operators: Mapping[str, str], folder: Path, **more: str
    ) -> AsyncIterator[Self]:
        """`entry` is the registry's table of the system; `more` goes into its environment."""
        for each in ("env", "keys", "log", "data"):
            (folder / each).mkdir()
        registry, keys = folder / "registry.toml", folder / "keys" / "operators.json"
        registry.write_text(REGISTRY.read_text() + entry)
        theirs = read_json(Path(operators["HABEAS_KEYS"]))["keys"]
        key = new_key(name)
        keys.write_text(json.dumps({"keys": [*theirs, key]}))
        (folder / "keys" / "own.json").write_text(json.dumps({"keys": [key]}))
        kafka = {each: value for each, value in operators.items() if each.startswith("HABEAS_KAFKA_")}
        own = {
            **kafka,
            "HABEAS_KEYS": str(folder / "keys" / "own.json"),
            "HABEAS_DATA_DIR": str(folder / "data"),
            "HABEAS_HTTP_PORT": str(choose("a test's system")),
            **more,
        }
        acting = {**kafka, "HABEAS_KEYS": str(keys), "HABEAS_REGISTRY": str(registry)}
        (folder / "env" / "operators").write_text(dotenv(acting))
        (folder / "env" / name).write_text(dotenv(own))
        names = [topics.tasks(name), topics.results(name), topics.dead_letters(name)]
        admin = AIOKafkaAdminClient(**client_options(kafka))
        await admin.start()
        try:
            await admin.create_topics([NewTopic(each, 2, 1, topic_configs=_SIZE) for each in names])
            yield cls(name, folder, registry, acting, own)
        finally:
            await admin.delete_topics(names)
            await admin.close()

    @asynccontextmanager
    async def bench(self, people: People, **options: float) -> AsyncIterator[Bench]:
        """For checks without the command."""
        systems = load_registry(self.registry).systems
        entry = systems[self.name]
        keyring = KeyFile(Path(self.operators["HABEAS_KEYS"])).keyring()
        others = [name for name in systems if name != self.name]
        async with Office(self.name, keyring, client_options(self.operators), others) as office:
            yield Bench(Subject(self.name, entry.categories, entry.needs, people), office, **options)  # type: ignore[arg-type]


_SIZE = {"max.message.bytes": str(topics.DEAD_LETTER_LIMIT)}
