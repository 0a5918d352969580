"""Kafka's configuration for a container: the local node's, listening where others can reach it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from operations.stack.kafka import JVM, MECHANISM, SUPER_USERS, KafkaNode

LIBRARIES = "/opt/kafka/libs/*"  # the official image's
USER = 1000  # its user's uid and gid


@dataclass(frozen=True, slots=True)
class Listener:
    """A name, the port in the container, and the address that clients are told."""

    name: str
    port: int
    advertised: str


def properties(node: KafkaNode, data: Path, listeners: Sequence[Listener]) -> str:
    """Return `node`'s configuration with these listeners for clients in place of its own, the first for itself too."""
    settings = dict(line.split("=", 1) for line in node.properties(data).splitlines())
    login = settings.pop("listener.name.client.scram-sha-512.sasl.jaas.config")
    own = {
        "listeners": [*(f"{each.name}://:{each.port}" for each in listeners), _controller(node)],
        "advertised.listeners": [f"{each.name}://{each.advertised}" for each in listeners],
        "listener.security.protocol.map": [
            f"{name}:SASL_PLAINTEXT" for name in (*(each.name for each in listeners), "CONTROLLER")
        ],
        "inter.broker.listener.name": [listeners[0].name],
    }
    settings |= {name: ",".join(values) for name, values in own.items()}
    settings |= {f"listener.name.{each.name.lower()}.scram-sha-512.sasl.jaas.config": login for each in listeners}
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def format_arguments(cluster: str, configuration: Path, passwords: Mapping[str, str]) -> str:
    """Return StorageTool's arguments, one a line: the log's folder with the super users' credentials, made once."""
    arguments = ["format", "--ignore-formatted", "-t", cluster, "-c", str(configuration)]
    for name in SUPER_USERS:
        arguments += ["--add-scram", f"{MECHANISM}=[name={name},password={passwords[name]}]"]
    return "".join(f"{each}\n" for each in arguments)


def command(folder: Path, main: str, *arguments: str) -> list[str]:
    """Return the command that runs Kafka's class `main` in the official image, with the log's settings in `folder`."""
    logging = f"-Dlog4j2.configurationFile={folder / 'log4j2.properties'}"
    return ["java", *JVM, logging, "-cp", LIBRARIES, main, *arguments]


def _controller(node: KafkaNode) -> str:
    return f"CONTROLLER://127.0.0.1:{node.controller_port}"
