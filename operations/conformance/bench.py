"""What every check works with: tasks in the system's own terms, its people, its answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from habeas.contracts.catalogue import seal_personal
from habeas.contracts.sealing import Place
from habeas.contracts.submission import Correction, Identity
from habeas.contracts.task import ScopeItem, TaskAssigned, TaskCancelled, TaskDetails, TaskPersonal, TaskReminded
from habeas.contracts.task import TaskSubject as TheSubject
from habeas.contracts.vocabulary import Action, Did, LegalBasis, Right, TaskOutcome
from operations.conformance.check import ContractBrokenError, NotTriedError, UnsupportedError, broken_if
from operations.conformance.office import Office, Said
from operations.conformance.people import People, Person
from operations.conformance.program import Program
from shared.registry_entries import Category

Assignment = TaskAssigned | TaskReminded

RIGHTS = {
    Action.LOCATE: Right.ACCESS,
    Action.ACCESS: Right.ACCESS,
    Action.EXPORT: Right.PORTABILITY,
    Action.RECTIFY: Right.RECTIFICATION,
    Action.ERASE: Right.ERASURE,
    Action.RESTRICT: Right.RESTRICTION,
    Action.UNRESTRICT: Right.RESTRICTION,
    Action.OBJECT: Right.OBJECTION,
    Action.HOLD: Right.ERASURE,
}
GONE = frozenset({Did.DELETED, Did.ANONYMIZED, Did.PSEUDONYMIZED, Did.DETACHED})
"""After this a record leads to nobody."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The system that is looked at."""

    system: str
    categories: Sequence[Category]
    needs: frozenset[str]
    """Identity types, any of which finds a person there."""
    people: People
    policy_version: str = "1"


@dataclass(slots=True)
class Bench:
    subject: Subject
    office: Office
    program: Program | None = None
    """The participant's process, where it is ours to kill."""
    patience: float = 30.0
    """Seconds to wait for an answer."""
    restart: float = 20.0
    """Seconds more after a kill: a group waits for the member it lost, and a program takes its time to start."""
    flood: int = 200
    """Tasks sent at once to measure the speed, half as many to be killed over."""
    now: Any = field(default=lambda: datetime.now(UTC))
    unsupported: set[str] = field(default_factory=set)
    absent: set[int] = field(default_factory=set)
    """Positions of people who turned out not to be held (any more)."""
    spent: set[int] = field(default_factory=set)
    """Positions of people whose data have been changed."""
    measured: dict[str, float] = field(default_factory=dict)
    _altered: Person | None = None

    # People

    def somebody(self) -> Person:
        """A person to be asked about, held to the end. Raises NotTriedError when there is none."""
        people = self.subject.people.people
        for lasting in (True, False):
            for index in reversed(range(len(people))):
                if people[index].may_be_destroyed is not lasting and index not in self.absent | self.spent:
                    return people[index]
        raise NotTriedError("nobody of the test people is held: load the test data, or name others with --people")

    def altered(self) -> Person:
        """The one person whose data are changed again and again and never erased."""
        if self._altered is None:
            self._altered = self.destroyable()
        return self._altered

    def destroyable(self) -> Person:
        """A person whose data may be erased, each once. Raises NotTriedError when no more are left."""
        people = self.subject.people.people
        for index, person in enumerate(people):
            if person.may_be_destroyed and index not in self.absent | self.spent:
                self.spent.add(index)
                return person
        raise NotTriedError("too few people who may be destroyed: load the test data anew, or name more of them")

    @property
    def stranger(self) -> Person:
        return Person(identities=self.subject.people.stranger)

    # Tasks

    def scope(self, action: str, *categories: str) -> tuple[ScopeItem, ...]:
        """The scope of a task with this action: these categories, or all that it can concern."""
        chosen = [each for each in self.subject.categories if not categories or each.name in categories]
        if action == Action.OBJECT and not categories:
            chosen = [each for each in chosen if _open_to_objection(each)] or chosen
        return tuple(
            ScopeItem(
                category=each.name,
                purposes=each.purposes,
                basis=each.basis,
                instruction=each.at_erasure.instruction if action == Action.ERASE else None,
            )
            for each in chosen
        )

    def task(
        self,
        action: str,
        person: Person,
        *,
        request_id: UUID | None = None,
        task_id: UUID | None = None,
        reminder: bool = False,
        scope: Sequence[ScopeItem] | None = None,
        corrections: Sequence[Correction] = (),
        identity_format: str = "raw",
        **changes: Any,
    ) -> Assignment:
        """A task as the fan-out would write it, sealed for the system."""
        model = TaskReminded if reminder else TaskAssigned
        request_id, task_id = request_id or uuid4(), task_id or uuid4()
        personal = TaskPersonal(
            subject=TheSubject(
                identities=tuple(
                    Identity(identity_type=kind, identity_value=value, identity_format=identity_format)
                    for kind, value in person.identities.items()
                    if kind in self.subject.needs
                )
            ),
            details=TaskDetails(corrections=tuple(corrections)),
        )
        content: dict[str, Any] = {
            "task_id": task_id,
            "request_id": request_id,
            "system": self.subject.system,
            "attempt": 1,
            "action": action,
            "right": RIGHTS.get(action, Right.ACCESS),  # type: ignore[call-overload]
            "regulation": "eu-gdpr",
            "policy_version": self.subject.policy_version,
            "scope": self.scope(action) if scope is None else tuple(scope),
            "due_at": self.now() + timedelta(days=7),
            "personal": seal_personal(
                self.office.keyring, Place(self.subject.system, model.TYPE, request_id, task_id), personal
            ),
            **({"level": 1} if reminder else {}),
        }
        return model(**{**content, **changes})

    def reminder(self, task: Assignment, person: Person, **options: Any) -> Assignment:
        """The reminder of a task."""
        return self.task(
            task.action, person, request_id=task.request_id, task_id=task.task_id, reminder=True, **options
        )

    @staticmethod
    def cancellation(task: Assignment) -> TaskCancelled:
        return TaskCancelled(task_id=task.task_id, request_id=task.request_id, reason="withdrawn")

    # Asking

    async def heard(self, task: Assignment) -> Said:
        """Send `task`; the next answer to it, whatever it says."""
        before = self.office.count(task.task_id)
        await self.office.send(task)
        return (await self.office.answers(task.task_id, before + 1, self.patience))[-1]

    async def ask(self, task: Assignment) -> Said:
        """As `heard`, but raises UnsupportedError for a known action that the system does not do."""
        said = await self.heard(task)
        if said.outcome == TaskOutcome.UNSUPPORTED and task.action in set(Action):
            self.unsupported.add(task.action)
            raise UnsupportedError(task.action)
        return said

    async def again(self, task: Assignment, first: Said, what: str) -> Said:
        """Send `task` once more and see that it is answered as it was. Raises ContractBrokenError if not."""
        second = await self.ask(task)
        broken_if(second.content() != first.content(), f"{what} is answered otherwise: {difference(first, second)}")
        return second

    def needs(self, *actions: str) -> None:
        """Raise UnsupportedError where the system is known not to do one of these."""
        for action in actions:
            if action in self.unsupported:
                raise UnsupportedError(action)

    async def held(self, person: Person) -> dict[str, set[str]]:
        """What an access discloses about a person now: record ids by category."""
        said = await self.ask(self.task(Action.ACCESS, person))
        found: dict[str, set[str]] = {}
        for record in said.personal.records:
            found.setdefault(str(record.category), set()).add(record.id)
        return found

    async def erased(self, person: Person, **options: Any) -> tuple[Assignment, Said]:
        """An erasure that did something. Raises ContractBrokenError where it did not."""
        self.needs(Action.ERASE)
        task = self.task(Action.ERASE, person, **options)
        said = await self.ask(task)
        if said.outcome not in (TaskOutcome.COMPLETED, TaskOutcome.PARTIAL):
            raise ContractBrokenError(f"an erasure for somebody who is held is answered {outcome(said)}")
        return task, said


def outcome(said: Said) -> str:
    """Outcome and error code, for a sentence."""
    return f"`{said.outcome}`" + (f" ({said.body.error.code})" if said.body.error else "")


def difference(first: Said, second: Said) -> str:
    """In which respect two answers differ, without what is personal."""
    if first.outcome != second.outcome:
        return f"{outcome(first)}, then {outcome(second)}"
    if first.body.summary != second.body.summary:
        return "another summary"
    if first.personal != second.personal:
        return "other personal content"
    return "other members"


def _open_to_objection(category: Category) -> bool:
    """GDPR Art. 21(1) and (2)."""
    return category.marketing or bool({LegalBasis.LEGITIMATE_INTERESTS, LegalBasis.PUBLIC_TASK} & {*category.bases})
