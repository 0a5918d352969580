"""Ports on the loopback interface: those asked for by name, those used last time, or free ones."""

from __future__ import annotations

import contextlib
import os
import random
import socket
from collections.abc import Mapping
from dataclasses import dataclass

import psutil  # type: ignore[import-untyped]

from operations.errors import PortTakenError

HOST = "127.0.0.1"
# Below Linux's range for outgoing connections, so that nobody is given the port between our look and the server's bind.
RANGE = range(20_000, 32_000)


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports asked for by name. None: any free one."""

    kafka: int | None = None
    postgres: int | None = None
    smtp: int | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Ports:
        """Read `HABEAS_STACK_KAFKA_PORT`, `…POSTGRES_PORT` and `…SMTP_PORT`."""

        def port(name: str) -> int | None:
            value = environment.get(f"HABEAS_STACK_{name}_PORT")
            return int(value) if value else None

        return cls(kafka=port("KAFKA"), postgres=port("POSTGRES"), smtp=port("SMTP"))


def choose(use: str, asked: int | None = None, last: int | None = None, taken: frozenset[int] = frozenset()) -> int:
    """Return the port for `use`: `asked` or PortTakenError; else `last` if free; else a free one not in `taken`."""
    if asked is not None:
        if not is_free(asked):
            raise PortTakenError(use, asked, holder_of(asked))
        return asked
    if last is not None and last not in taken and is_free(last):
        return last
    candidates = random.sample(RANGE, 200)
    return next(port for port in candidates if port not in taken and is_free(port))


def is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: a port in TIME_WAIT is free
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def holder_of(port: int) -> str | None:
    """Return who listens on `port`, like "nginx (pid 123)", as far as the system tells us."""
    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections(kind="tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return None
