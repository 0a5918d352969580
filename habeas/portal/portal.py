"""`Portal`: whatever takes people's requests says so here, and hears here what became of them."""

from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from pydantic import TypeAdapter, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from habeas.contracts.base import Participant as Name
from habeas.contracts.cloudevents import CloudEvent
from habeas.contracts.sealing import KeyFile, Keyring
from habeas.contracts.status import StatusChanged
from habeas.contracts.submission import Details, Identity, Requester, RequestSubmitted, Subject
from habeas.contracts.vocabulary import Channel, DeliverTo, NotifyBy, Right
from habeas.portal.board import Board
from habeas.portal.errors import ClosedError, PortalError
from habeas.portal.messages import Writer, submission_personal
from habeas.portal.news import News
from habeas.portal.reading import Feed, Reader, Reading
from habeas.portal.sending import Publisher
from habeas.settings import KafkaSettings, load

_REMEMBERED = 10_000
"""Submissions whose ce_id is kept, so that `follow` hears of their refusal."""


class PortalSettings(BaseSettings):
    """What a portal needs beside Kafka."""

    model_config = SettingsConfigDict(env_prefix="HABEAS_", extra="ignore", frozen=True)

    keys: Path
    """`HABEAS_KEYS`: the portal's own JWK Set."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that Kafka has confirmed."""

    request_id: UUID
    ce_id: UUID
    """Under which a refusal of this message would come."""


class Portal:
    """An upstream portal: submits, amends, withdraws and confirms, and follows what becomes of it.

        async with Portal("web") as portal:
            sent = await portal.submit("access", identities=[proven("email", address, at=logged_in_at)])
            async for status in portal.follow(sent):
                print(status.reference, status.state)

    Connection and keys come from `HABEAS_KAFKA_…` and `HABEAS_KEYS`, unless given. One instance serves a whole process:
    any number of calls may be under way at once, within one event loop. A call that is cancelled leaves the rest alone.

    Each message is checked and sealed before it leaves. What breaks the contract is a `ContractError` that names the
    member by JSON pointer, and never quotes a value.
    """

    def __init__(
        self,
        name: str,
        *,
        kafka: KafkaSettings | Mapping[str, Any] | None = None,
        keys: Path | Keyring | None = None,
        patience: float = 30.0,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`kafka` may also be the options of aiokafka's clients; `patience` is in seconds, for Kafka to answer."""
        self.name = _name(name)
        self._given_kafka = kafka
        self._given_keys = keys
        self._patience = patience
        self._now = now
        self._board = Board()
        self._sent: OrderedDict[UUID, UUID] = OrderedDict()
        self._readings: set[Reading] = set()
        self._keyring: Callable[[], Keyring]
        self._publisher: Publisher
        self._reader: Reader
        self._feed: Feed
        self._is_open = False

    def __repr__(self) -> str:
        return f"Portal({self.name!r})"

    async def __aenter__(self) -> Self:
        """Raises `SettingsError`, `KeyFileError`, `UnreachableError`."""
        kafka = self._given_kafka if self._given_kafka is not None else load(KafkaSettings)
        options = kafka.client_options() if isinstance(kafka, KafkaSettings) else dict(kafka)
        keys = self._given_keys if self._given_keys is not None else load(PortalSettings).keys
        self._keyring = (lambda: keys) if isinstance(keys, Keyring) else KeyFile(keys).keyring
        self._keyring().sealing_kid(self.name)
        self._publisher = Publisher(self.name, options, self._patience)
        self._reader = Reader(self.name, options, self._patience)
        self._board = Board()
        self._feed = Feed(self._reader, self._board)
        await self._publisher.start()
        self._is_open = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """What is on its way is still confirmed; whoever still follows hears `ClosedError`."""
        self._is_open = False
        try:
            await self._feed.stop()
            for reading in tuple(self._readings):
                await reading.close()
        finally:
            await self._publisher.stop()

    # What a portal says

    async def submit(
        self,
        right: Right | str,
        *,
        identities: Iterable[Identity] = (),
        subject: Subject | None = None,
        requester: Requester | None = None,
        details: Details | None = None,
        deliver_to: DeliverTo | str = DeliverTo.SUBJECT,
        jurisdiction: str | None = None,
        regulation: str | None = None,
        channel: Channel | str = Channel.FORM,
        notify_by: NotifyBy | str = NotifyBy.HABEAS,
        request_id: UUID | None = None,
        received_at: datetime | None = None,
        submitted_time: datetime | None = None,
        case_id: UUID | None = None,
        after: Iterable[UUID] = (),
    ) -> Sent:
        """A person asks. Returns once Kafka has confirmed it; whether it is accepted, `follow` says.

        `identities` are the subject's, and add to those of `subject`. Without `requester` the subject asks, and is
        written to at the first e-mail address that has a proof. `received_at` is when it reached the controller, now
        by default: the law's clock starts there. `submitted_time` is when the person asked, by default the same.

        To be able to call again (after `NotConfirmedError`, a crash, a click too many) give `request_id` and
        `received_at` yourself: the same content under the same id is the same request. Raises `ContractError`,
        `NotConfirmedError`, `DeniedError`.
        """
        members = {
            "request_id": request_id,
            "case_id": case_id,
            "after": tuple(after),
            "submitted_time": submitted_time,
            "received_at": received_at,
            "channel": channel,
            "right": right,
            "regulation": regulation,
            "jurisdiction": jurisdiction,
            "notify_by": notify_by,
            "personal": submission_personal(
                subject, identities, requester, deliver_to=deliver_to, details=details or Details()
            ),
        }
        return await self.submit_document({key: value for key, value in members.items() if value is not None})

    async def submit_document(self, document: Mapping[str, Any]) -> Sent:
        """As `submit`, from the members of the contract's JSON body, with `personal` in clear."""
        return await self.publish(self._writer().submitted(document))

    async def amend(
        self,
        request_id: UUID,
        *,
        identities: Iterable[Identity] = (),
        requester: Requester | None = None,
        details: Details | None = None,
        answers: UUID | None = None,
    ) -> Sent:
        """The person adds to a request, or answers the question `answers`.

        Proven identities are taken at any time before the close; requester and details replace what was said, while
        the request is in triage. Raises as `submit` does; a refusal, such as `too_late`, comes to `follow` and
        `statuses` under the returned ce_id.
        """
        personal = {"identities": tuple(identities), "requester": requester, "details": details}
        return await self.amend_document({"request_id": request_id, "answers": answers, "personal": personal})

    async def amend_document(self, document: Mapping[str, Any]) -> Sent:
        """As `amend`, from the members of the contract's JSON body, with `personal` in clear."""
        return await self.publish(self._writer().amended(document))

    async def withdraw(self, request_id: UUID, reason: str | None = None) -> Sent:
        """The person takes the request back, which holds until the final letter is on its way.

        `reason` travels in clear: a word such as `changed_mind`, never free text. Raises as `submit` does.
        """
        return await self.publish(self._writer().withdrawn({"request_id": request_id, "reason": reason}))

    async def confirm(self, request_id: UUID, identities: Iterable[Identity]) -> Sent:
        """The portal has proven identities that it could not attest at submission. Raises as `submit` does."""
        document = {"request_id": request_id, "personal": {"identities": tuple(identities)}}
        return await self.publish(self._writer().confirmed(document))

    async def publish(self, event: CloudEvent) -> Sent:
        """Publish a message that was written before, as it is: from an outbox of the portal's own, say.

        Published again it keeps its ce_id. Raises `ContractError` where it is too large, `NotConfirmedError`,
        `DeniedError`.
        """
        self._check_open()
        if event.type == RequestSubmitted.TYPE:
            self._remember(event)
        await self._publisher.publish(event)
        return Sent(event.subject, event.id)

    # What a portal hears

    async def follow(self, request: UUID | Sent, *, ce_id: UUID | None = None) -> AsyncGenerator[StatusChanged, None]:
        """The statuses of a request, from the latest there is, by rising version; ends after `closed`.

        Raises `Rejected` when a message was refused: the one of `Sent` or `ce_id`, or else the submission that this
        instance published last under the request id. A state that you do not know means "in progress". It waits as long
        as there is nothing to tell, so put a time limit around it where you need one. A request that was never
        submitted says nothing.

        All who follow share one consumer, begun with the first; it keeps the latest status of each request on the
        topic, some hundred bytes each. Raises `UnreachableError`, `DeniedError`, `RequestPurgedError`, and
        `ClosedError` when the portal is closed meanwhile.
        """
        self._check_open()
        if isinstance(request, Sent):
            request_id, ce_id = request.request_id, ce_id or request.ce_id
        else:
            request_id, ce_id = request, ce_id or self._sent.get(request)
        self._feed.begin()
        statuses = self._board.follow(request_id, ce_id)  # takes its place before the feed gets its turn
        try:
            async for status in statuses:
                yield status
        finally:
            await statuses.aclose()

    async def statuses(self, group: str | None = None) -> AsyncGenerator[News, None]:
        """Everything on the portal's status topic, without end, for a table of the portal's own.

        Without `group` from the beginning each time. With one (`table` is the consumer group `dsr.<portal>.table`) from
        where the group stopped: a record counts as done once the next is asked for, and what was done within the last
        second may come again after a crash. Several processes of one group share the work.

        Of two statuses of a request the higher version counts, whichever comes last. Raises `UnreachableError`,
        `DeniedError`, and `ClosedError` when the portal is closed meanwhile.
        """
        self._check_open()
        reading = Reading(self._reader, None if group is None else f"dsr.{self.name}.{group}")
        self._readings.add(reading)
        stream = reading.news()
        try:
            async for news in stream:
                yield news
        finally:
            self._readings.discard(reading)
            await stream.aclose()

    def _writer(self) -> Writer:
        self._check_open()
        return Writer(self.name, self._keyring(), self._now())

    def _check_open(self) -> None:
        if not self._is_open:
            raise ClosedError

    def _remember(self, event: CloudEvent) -> None:
        self._sent[event.subject] = event.id
        self._sent.move_to_end(event.subject)
        while len(self._sent) > _REMEMBERED:
            self._sent.popitem(last=False)


def _name(name: str) -> str:
    try:
        return TypeAdapter(Name).validate_python(name)
    except ValidationError:
        pass
    raise PortalError("a portal's name has 2 to 31 of a-z, 0-9 and -, and starts with a letter: see the registry")
