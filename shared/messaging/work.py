"""What a handler works with: one transaction, and what is to be said once it is committed."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from habeas.contracts import CloudEvent, ContractError, Keyring, Message, PersonalModel, Place, Reason
from habeas.contracts.catalogue import read_personal, seal_personal, write
from habeas.contracts.forms import Written
from habeas.contracts.topics import DEAD_LETTERS
from habeas.dead_letters import dead_letter
from shared.database import Connection
from shared.events import OPERATORS, SERVICES
from shared.messaging.outbox import Outgoing
from shared.messaging.received import Received, Record

Personal = TypeVar("Personal", bound=PersonalModel)


@dataclass(slots=True)
class Work:
    """One batch's transaction. What `send` and `refuse` are told is written to the outbox with it, then published."""

    service: str
    connection: Connection
    keyring: Keyring
    now: datetime
    outgoing: list[Outgoing] = field(default_factory=list)
    touched: set[UUID] = field(default_factory=set)
    """Requests about which a fact was recorded: the service settles them at the end of the batch."""
    refused: list[tuple[Record, ContractError]] = field(default_factory=list)
    opened: dict[tuple[str, UUID, str], PersonalModel] = field(default_factory=dict, repr=False)
    """By ce_type, request and sealed text, what of ours was opened for this batch: no need to do it twice."""
    after_commit: list[Callable[[], None]] = field(default_factory=list)
    """Told once the transaction is committed: to wake a worker, never to do the work."""

    def send(
        self, topic: str, body: Message | Written[Message], *, subject: UUID, causation: UUID | None = None
    ) -> CloudEvent:
        """Queue `body` for `topic`; returns what will be said. Raises `ContractError` where it exceeds the limit."""
        event = write(
            body,
            subject=subject,
            source=f"habeas/{self.service}",
            now=self.now,
            causation_id=None if causation is None else str(causation),
        )
        self.outgoing.append(Outgoing.of(topic, event))
        return event

    def seal(
        self,
        model: type[Message],
        personal: PersonalModel | Written[PersonalModel],
        *,
        subject: UUID,
        participant: str = SERVICES,
        task_id: UUID | None = None,
    ) -> str:
        """`personal` for a body of `model` about the request `subject`, readable by `participant` alone."""
        return seal_personal(self.keyring, Place(participant, model.TYPE, subject, task_id), personal)

    def open(self, model: type[Message], opened: type[Personal], sealed: str, *, subject: UUID) -> Personal:
        """What the services sealed for a body of `model` about the request `subject`. Raises `ContractError`."""
        known = self.opened.get((model.TYPE, subject, sealed))
        if isinstance(known, opened):
            return known
        personal = read_personal(self.keyring, Place(SERVICES, model.TYPE, subject), sealed, opened)
        self.opened[model.TYPE, subject, sealed] = personal
        return personal

    def refuse(self, received: Received[Any, Any], reason: Reason, pointer: str = "", detail: str = "") -> None:
        """A record that decodes but cannot be: it goes to the dead letters with the rest of the transaction."""
        self.bury(received.record, ContractError(reason, pointer, detail))

    def bury(self, record: Record, error: ContractError) -> None:
        letter = dead_letter(
            record, error, keyring=self.keyring, reader=OPERATORS, refused_by=self.service, now=self.now
        )
        self.outgoing.append(Outgoing.of(DEAD_LETTERS, letter))
        self.refused.append((record, error))
