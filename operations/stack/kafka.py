"""Apache Kafka as a child process: KRaft, a node that is broker and controller, SASL/SCRAM and ACLs on.

Both listeners are on the loopback interface and neither talks to strangers. Clients use SCRAM-SHA-512. The controller's
listener cannot use SCRAM (its credentials live in the log that the controllers must elect a leader for first), so there
it is PLAIN with one random password that only the nodes' own configuration files know.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from habeas.contracts.topics import DEAD_LETTER_LIMIT
from operations.errors import StartError
from operations.stack.folder import write_private
from operations.stack.ports import HOST
from operations.stack.supervisor import Kind, Program
from operations.topology import KEPT

SUPER_USERS = ("operators", "broker")  # `broker` is the nodes, towards themselves
MECHANISM = "SCRAM-SHA-512"
JAAS = "org.apache.kafka.common.security"
# Only the quick compiler: a second less to start, half the CPU on two cores, and no less throughput measured.
JVM = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")

LOG4J = """\
status = warn
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{yyyy-MM-dd'T'HH:mm:ss.SSSXXX}{UTC} %p %c{1} %m%n
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
logger.config.name = org.apache.kafka.common.config.AbstractConfig
logger.config.level = warn
"""


@dataclass(frozen=True, slots=True)
class KafkaNode:
    """One node of a cluster of `nodes`; `voters` names the controller of each.

    Three copies where there are three nodes, and a record counts as written when two have it.
    """

    id: int
    port: int
    controller_port: int
    folder: Path
    voters: str
    nodes: int = 1
    passwords: Mapping[str, str] = field(repr=False, default_factory=dict)  # of SUPER_USERS

    @property
    def name(self) -> str:
        return node_name(self.id)

    @property
    def copies(self) -> int:
        """Of each partition, Kafka's own topics included."""
        return min(self.nodes, 3)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def properties(self, data: Path) -> str:
        """Return the node's configuration with its log in `data`."""
        broker = self.passwords["broker"]
        copies, in_sync = self.copies, min(self.nodes, 2)
        settings = {
            "process.roles": "broker,controller",
            "node.id": self.id,
            "controller.quorum.voters": self.voters,
            "log.dirs": str(data).replace("\\", "\\\\"),
            "listeners": f"CLIENT://{HOST}:{self.port},CONTROLLER://{HOST}:{self.controller_port}",
            "advertised.listeners": f"CLIENT://{HOST}:{self.port}",
            "listener.security.protocol.map": "CLIENT:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "CLIENT",
            "sasl.enabled.mechanisms": MECHANISM,
            "sasl.mechanism.inter.broker.protocol": MECHANISM,
            "listener.name.client.scram-sha-512.sasl.jaas.config": (
                f'{JAAS}.scram.ScramLoginModule required username="broker" password="{broker}";'
            ),
            "listener.name.controller.sasl.enabled.mechanisms": "PLAIN",
            "sasl.mechanism.controller.protocol": "PLAIN",
            "listener.name.controller.plain.sasl.jaas.config": (
                f'{JAAS}.plain.PlainLoginModule required username="broker" password="{broker}" user_broker="{broker}";'
            ),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": ";".join(f"User:{name}" for name in SUPER_USERS),
            "allow.everyone.if.no.acl.found": "false",
            "auto.create.topics.enable": "false",
            # The largest topic limit, and the room that whatever copies such a record needs.
            "message.max.bytes": DEAD_LETTER_LIMIT,
            "replica.fetch.max.bytes": DEAD_LETTER_LIMIT + 1024,
            "offsets.retention.minutes": int(KEPT.total_seconds() // 60),
            "default.replication.factor": copies,
            "min.insync.replicas": in_sync,
            "offsets.topic.replication.factor": copies,
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": in_sync,
            # A local stack has few groups and is started often: fewer internal partitions, no waiting for members.
            "offsets.topic.num.partitions": 8,
            "transaction.state.log.num.partitions": 4,
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 1000,
            # After a SIGKILL the node may register again only when the controller has given up its former self.
            "broker.session.timeout.ms": 4000,
            "broker.heartbeat.interval.ms": 1000,
            "log.cleaner.dedupe.buffer.size": 16 << 20,
        }
        return "".join(f"{name}={value}\n" for name, value in settings.items())

    async def prepare(self, java: str, jars: Sequence[Path], cluster: str) -> None:
        """Write the configuration and, the first time, format the log's folder with the super users' credentials."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(self.folder / "server.properties", self.properties(self.data))
        write_private(self.folder / "log4j2.properties", LOG4J)
        write_private(self.folder / "classpath", f'-cp "{os.pathsep.join(str(jar) for jar in jars)}"\n')
        if self.data.exists():
            return
        new = self.folder / "data.new"  # renamed when whole: an interrupted format is simply done again
        shutil.rmtree(new, ignore_errors=True)
        write_private(self.folder / "format.properties", self.properties(new))
        arguments = ["format", "-t", cluster, "-c", str(self.folder / "format.properties")]
        for name in SUPER_USERS:
            arguments += ["--add-scram", f"{MECHANISM}=[name={name},password={self.passwords[name]}]"]
        write_private(self.folder / "format.arguments", "\n".join(arguments) + "\n")  # passwords stay out of `ps`
        process = await asyncio.create_subprocess_exec(
            *self._java(java),
            *("kafka.tools.StorageTool", f"@{self.folder / 'format.arguments'}"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        if process.returncode != 0:
            raise StartError(
                self.name, str(self.folder), "its folder could not be formatted", said.decode(errors="replace")
            )
        for name in ("format.arguments", "format.properties"):
            (self.folder / name).unlink()
        new.replace(self.data)

    def program(self, java: str, log: Path, environment: Mapping[str, str]) -> Program:
        return Program(
            name=self.name,
            kind=Kind.STORE,
            command=[*self._java(java), "kafka.Kafka", str(self.folder / "server.properties")],
            environment=environment,
            log=log,
            ready=self._ready,
            port=self.port,
            watched=False,
        )

    def _java(self, java: str) -> list[str]:
        logging = f"-Dlog4j2.configurationFile={self.folder / 'log4j2.properties'}"
        return [java, *JVM, logging, f"@{self.folder / 'classpath'}"]

    async def _ready(self) -> bool:
        """Ready is when a client has proven who it is and was told that the cluster has this node."""
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(HOST, self.port)
            writer.close()
            await writer.wait_closed()
            variables = client_variables(f"{HOST}:{self.port}", "operators", self.passwords["operators"])
            return await asyncio.to_thread(_has, variables, self.id)
        return False


def node_name(number: int) -> str:
    """Return what the stack calls its node of this number, from 1: as a program, and as the use of a port."""
    return "kafka" if number == 1 else f"kafka-{number}"


def controller_name(number: int) -> str:
    """Return the use of the port that this node's controller has."""
    return "kafka-controller" if number == 1 else f"kafka-controller-{number}"


def client_variables(servers: str, name: str, password: str) -> dict[str, str]:
    """Return the variables by which the principal `name` reaches Kafka."""
    return {
        "HABEAS_KAFKA_BOOTSTRAP_SERVERS": servers,
        "HABEAS_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "HABEAS_KAFKA_SASL_MECHANISM": MECHANISM,
        "HABEAS_KAFKA_SASL_USERNAME": name,
        "HABEAS_KAFKA_SASL_PASSWORD": password,
    }


def admin_client(variables: Mapping[str, str]) -> AdminClient:
    """Return an admin client for whatever `HABEAS_KAFKA_*` names. Its calls block."""
    names = {
        "HABEAS_KAFKA_BOOTSTRAP_SERVERS": "bootstrap.servers",
        "HABEAS_KAFKA_SECURITY_PROTOCOL": "security.protocol",
        "HABEAS_KAFKA_SASL_MECHANISM": "sasl.mechanism",
        "HABEAS_KAFKA_SASL_USERNAME": "sasl.username",
        "HABEAS_KAFKA_SASL_PASSWORD": "sasl.password",
    }
    settings = {theirs: variables[ours] for ours, theirs in names.items() if variables.get(ours)}
    # Errors come as exceptions; the library's own lines on stderr would only repeat them.
    return AdminClient({**settings, "log_level": 0, "reconnect.backoff.ms": 20, "socket.timeout.ms": 10_000})


def new_cluster_id() -> str:
    """Return a random id in the form Kafka wants; one that starts with a dash would look like an option."""
    while (text := base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=")).startswith("-"):
        pass
    return text


def _has(variables: Mapping[str, str], node: int) -> bool:
    try:
        return node in admin_client(variables).list_topics(timeout=5).brokers
    except KafkaException:
        return False
