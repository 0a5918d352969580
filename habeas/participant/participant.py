"""`Participant`: a system that holds personal data, and one function for each thing it can be asked to do."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Generic, TypeVar

import structlog
from pydantic import TypeAdapter
from pydantic_settings import BaseSettings, SettingsConfigDict

from habeas.contracts.base import Participant as Name
from habeas.contracts.errors import HabeasError
from habeas.contracts.sealing import KeyFile
from habeas.contracts.vocabulary import Action
from habeas.participant import logs
from habeas.participant.answers import Resource, Store
from habeas.participant.desk import Afterwards, Cancelled, Desk, Function
from habeas.participant.errors import StartError
from habeas.participant.health import Health, listen
from habeas.participant.places import where
from habeas.participant.runner import Runner
from habeas.participant.tuning import Tuning
from habeas.settings import KafkaSettings, SettingsError, load

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., object])
_log = structlog.get_logger("habeas.participant")


class ParticipantSettings(BaseSettings):
    """What every participant needs beside Kafka."""

    model_config = SettingsConfigDict(env_prefix="HABEAS_", extra="ignore", frozen=True)

    keys: Path
    """`HABEAS_KEYS`: the participant's own JWK Set."""
    http_port: int = 8080
    """`HABEAS_HTTP_PORT`: health and metrics; 0 takes a free one."""


class Participant(Generic[Resource]):
    """A system and its functions.

        billing = Participant("billing", Postgres(prepare=create_tables))

        @billing.action("access")
        async def access(task: Task, db: Connection) -> Answer: ...

        billing.run()

    Topics, group, sealing, retries, dead letters, health and stored answers are the library's. A function runs in a
    transaction of the store together with its answer (or writes down what it found before it acts, see `Task.once`).
    What it raises: `Refused`, `NeedsInput`, `Permanent` end the task; `Unavailable` and the store's own absence are
    retried, then the process exits and is to be restarted; anything else as well, and from the fifth start on the task
    is answered `failed` (code `handler_failed`, retryable), so that one task never stops a system for ever.
    """

    def __init__(
        self,
        name: str,
        store: Store[Resource],
        *,
        tuning: Tuning = Tuning(),  # noqa: B008
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.name = TypeAdapter(Name).validate_python(name)
        self._store = store
        self._tuning = tuning
        self._now = now
        self._actions: dict[str, Function[Resource]] = {}
        self._afterwards: dict[str, list[Afterwards[Resource]]] = {}
        self._cancelled: dict[str, Cancelled[Resource]] = {}

    def action(self, name: str) -> Callable[[Function[Resource]], Function[Resource]]:
        """Registers the function that does `name`, one of the contract's actions. Others are answered `unsupported`."""

        def register(function: Function[Resource]) -> Function[Resource]:
            self._actions[Action(name)] = function
            return function

        return register

    def after(self, name: str) -> Callable[[Afterwards[Resource]], Afterwards[Resource]]:
        """Registers what follows a batch with this action, outside of its transaction, before its answers go out.

        It also runs at each start, in case the process died in between: it has to bear repeating.
        """

        def register(function: Afterwards[Resource]) -> Afterwards[Resource]:
            self._afterwards.setdefault(Action(name), []).append(function)
            return function

        return register

    def cancelled(self, name: str) -> Callable[[Cancelled[Resource]], Cancelled[Resource]]:
        """Registers what to do where a task with this action is cancelled once it has been done, or begun.

        It takes back what has no reason any more, such as a hold; the task's answer stays as it was given, and one
        that was not answered yet is answered `cancelled`. It gets that task, in a transaction of the store; it has to
        bear being called again, and effects that the store took back (`Task.once` keeps nothing here). It is not
        called where a later task of the same request has asked for the same action since.
        """

        def register(function: Cancelled[Resource]) -> Cancelled[Resource]:
            self._cancelled[Action(name)] = function
            return function

        return register

    def run(self) -> None:
        """The process's main: settings from the environment, until SIGTERM or SIGINT. Ends in `SystemExit`.

        0 after a stop that was asked for, 1 after trouble (a supervisor restarts it), 2 where a setting is missing.
        """
        os.umask(0o077)
        logs.configure(self.name)
        try:
            asyncio.run(self._main())
        except SettingsError as error:
            _log.error("settings_wrong", advice=str(error))
            sys.exit(2)
        except HabeasError as error:
            _log.error("stopped", cause=type(error).__name__, advice=str(error))
            sys.exit(1)
        except Exception as error:  # the text and the traceback of an unforeseen error may quote data
            _log.critical("crashed", cause=type(error).__name__, where=where(error))
            sys.exit(1)
        sys.exit(0)

    async def _main(self) -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, stop.set)
        await self.serve(stop, load(KafkaSettings), load(ParticipantSettings))

    async def serve(self, stop: asyncio.Event, kafka: KafkaSettings, settings: ParticipantSettings) -> None:
        """Takes part until `stop` is set. Raises a `HabeasError` when the process should be restarted."""
        health = Health(self.name, self._tuning.live_within)
        desk = self.desk()
        keys = KeyFile(settings.keys)
        keys.keyring().sealing_kid(self.name)
        try:
            server = await listen(health, settings.http_port)
        except OSError as error:
            raise StartError(
                f"port {settings.http_port} cannot be opened: set HABEAS_HTTP_PORT to a free one"
            ) from error
        try:
            await self._open(desk)
            _log.info("started", actions=sorted(self._actions))
            runner = Runner(
                self.name,
                desk=desk,
                keys=keys,
                kafka=kafka.client_options(),
                health=health,
                now=self._now,
                tuning=self._tuning,
            )
            await runner.run(stop)
            _log.info("stopped_as_asked")
        finally:
            server.close()
            await self._store.close()

    def desk(self) -> Desk[Resource]:
        """Where the work is done, without Kafka: for tests of a system's functions."""
        return Desk(
            self.name,
            store=self._store,
            actions=self._actions,
            afterwards=self._afterwards,
            cancelled=self._cancelled,
            now=self._now,
            tuning=self._tuning,
        )

    async def _open(self, desk: Desk[Resource]) -> None:
        try:
            async for attempt in desk.retrying(desk.transient):
                with attempt:
                    await self._store.open()
            await desk.tidy()
            await self._store.forget(self._now() - self._tuning.keep_answers)
        except Exception as error:
            if not desk.transient(error):
                raise
            raise StartError(f"the store cannot be opened ({type(error).__name__}): see its settings") from error
