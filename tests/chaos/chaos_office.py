"""The portal that submits, and the operator who retries and releases: the people's side of a run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

from chaos_script import PORTAL, Script, Twist
from chaos_systems import Foreseen
from chaos_wire import Voice

from habeas.contracts import Keyring, Place
from habeas.contracts.catalogue import read, seal_personal, write
from habeas.contracts.cloudevents import CloudEvent, decode, encode
from habeas.contracts.command import CommandRelease, CommandRetry, Order
from habeas.contracts.status import StatusChanged
from habeas.contracts.submission import (
    Details,
    Identity,
    Proof,
    Requester,
    RequestSubmitted,
    RequestWithdrawn,
    Subject,
    SubmissionPersonal,
)
from habeas.contracts.topics import COMMANDS, status, submissions
from habeas.contracts.vocabulary import NotifyBy


@dataclass
class Office:
    keyring: Keyring = field(repr=False)
    portal: Voice
    operator: Voice
    scripts: dict[UUID, Script]
    foreseen: Foreseen
    pause: float = 1.0
    """Seconds until somebody submits the same again."""
    newest: dict[UUID, StatusChanged] = field(default_factory=dict)
    submitted: int = 0
    closed: int = 0
    troubles: list[BaseException] = field(default_factory=list)
    """What the office itself stumbled over."""
    last_news: float = field(default_factory=time.monotonic)
    _reviewed: dict[UUID, int] = field(default_factory=dict)
    _said: set[tuple[UUID, str]] = field(default_factory=set)
    _under_way: set[asyncio.Task[None]] = field(default_factory=set)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        async with self.portal.hearing([status(PORTAL)], self.hear):
            try:
                yield
            finally:
                for task in self._under_way:
                    task.cancel()
                await asyncio.gather(*self._under_way, return_exceptions=True)
        await self.portal.close()
        await self.operator.close()

    @property
    def busy(self) -> int:
        """What is still being said."""
        return len(self._under_way)

    def submit(self, script: Script) -> None:
        """Starts to; it may take as long as Kafka is away."""
        self.scripts[script.request_id] = script
        self._start(lambda: self._submit(script))

    def hear(self, record: Any) -> None:
        event = decode(record.key, record.value, record.headers)
        if event.type != StatusChanged.TYPE:
            return
        news = read(event, StatusChanged)
        known = self.newest.get(news.request_id)
        script = self.scripts.get(news.request_id)
        if script is None or (known is not None and known.version >= news.version):
            return
        self.newest[news.request_id] = news
        self.last_news = time.monotonic()
        if news.state == "closed":
            self.closed += 1
        self._react(script, news)

    def _react(self, script: Script, news: StatusChanged) -> None:
        reason = news.reason.code if news.reason else None
        asked = {each.system for each in news.systems if each.state == "asked"}
        if script.is_retried and reason == "system_failed":
            self._retry_or_release(script, news)
        if script.twist is Twist.BOUNCES and reason == "notice_bounced":
            self._order(CommandRelease(**self._members(script, "release")))
        if script.twist is Twist.WITHDRAWN and script.troubled in asked:
            self._once(script, "withdraw", lambda: self._withdraw(script))

    def _retry_or_release(self, script: Script, news: StatusChanged) -> None:
        """In the first review the one, in the second the other: a retry is at least one version between them."""
        first = self._reviewed.setdefault(script.request_id, news.version)
        if script.troubled and news.version == first:
            self._order(CommandRetry(**self._members(script, "retry"), system=script.troubled))
        again = script.request_id in self.foreseen.failed_again  # a status may come twice, or late
        if again and news.version >= first + 2:
            self._order(CommandRelease(**self._members(script, "release")))

    def _members(self, script: Script, verb: str) -> dict[str, Any]:
        return {
            "command_id": script.command(verb),
            "request_id": script.request_id,
            "by": "chaos",
            "reason": "chaos",
        }

    def _order(self, order: Order) -> None:
        async def give() -> None:
            event = write(order, subject=order.request_id, source="operators", now=datetime.now(UTC))
            await self.operator.say(COMMANDS, event)

        self._once(self.scripts[order.request_id], order.TYPE, give)

    def _once(self, script: Script, what: str, act: Callable[[], Any]) -> None:
        if (script.request_id, what) not in self._said:
            self._said.add((script.request_id, what))
            self._start(act)

    def _start(self, act: Callable[[], Any]) -> None:
        task: asyncio.Task[None] = asyncio.create_task(act())
        self._under_way.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.troubles.append(error)

    async def _withdraw(self, script: Script) -> None:
        body = RequestWithdrawn(request_id=script.request_id, reason="changed_my_mind")
        await self._say(self._event(body, script, "withdrawn"))

    async def _submit(self, script: Script) -> None:
        now = datetime.now(UTC)
        event = self._submission(script, now, "submission")
        if script.twist is Twist.GARBLED:
            garbled = self._wrong(self._submission(script, now, "garbled"))
            key, value, headers = encode(garbled)
            await self.portal.send(submissions(PORTAL), key, value[: len(value) // 2], headers)
        await self._say(event)
        self.submitted += 1
        if script.twist is Twist.AGAIN:
            await self._say(event)
            await asyncio.sleep(self.pause)
            await self._say(self._submission(script, now, "again"))
        if script.twist is Twist.CONTRADICTED:
            await self._say(self._wrong(self._submission(script, now, "contradicted")))

    def _wrong(self, event: CloudEvent) -> CloudEvent:
        self.foreseen.records.add(event.id)
        self.foreseen.rejected.add(event.id)
        return event

    async def _say(self, event: CloudEvent) -> None:
        await self.portal.say(submissions(PORTAL), event)

    def _submission(self, script: Script, now: datetime, which: str) -> CloudEvent:
        proven = script.twist is not Twist.UNPROVEN
        proof = Proof(method="portal_login", at=now, level="substantial") if proven else None
        personal = SubmissionPersonal(
            subject=Subject(
                name="Somebody",
                identities=(Identity(identity_type="email", identity_value=script.address, proof=proof),),
            ),
            requester=Requester(name="Somebody", email=script.address),
            details=Details(statement="something else") if which == "contradicted" else Details(),
        )
        body = RequestSubmitted(
            request_id=script.request_id,
            submitted_time=now,
            received_at=now,
            right=script.right,
            jurisdiction="DE-BE",
            notify_by=NotifyBy.HABEAS if script.by_mail else NotifyBy.PORTAL,
            personal=seal_personal(self.keyring, Place(PORTAL, RequestSubmitted.TYPE, script.request_id), personal),
        )
        return self._event(body, script, which)

    def _event(self, body: RequestSubmitted | RequestWithdrawn, script: Script, which: str) -> CloudEvent:
        return write(
            body,
            subject=script.request_id,
            source=f"portals/{PORTAL}",
            now=datetime.now(UTC),
            new_id=lambda: uuid5(script.request_id, f"chaos/{which}"),
        )
