"""What a form writes is what the model would have written."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import PlainSerializer

from habeas.contracts import CloudEvent, ContractError, Keyring, Place, Reason
from habeas.contracts.base import Model, PersonalModel
from habeas.contracts.catalogue import read_personal, seal_personal, write
from habeas.contracts.documents.vectors import key
from habeas.contracts.forms import Form, Written
from habeas.contracts.status import AnswerStatus, Due, StatusChanged, SystemStatus
from habeas.contracts.submission import Identity, Period
from habeas.contracts.task import ScopeItem, TaskAssigned, TaskPersonal, TaskSubject
from habeas.contracts.vocabulary import Action, Instruction, LegalBasis, RequestState, Right, SystemState
from shared.events import LeftOutCategory, PastTask, PlanMade, PlannedSystem

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOBODY = UUID(int=0)
SEALED = "eyJ..AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA"
NAME = 'Zoë "Zed" 李 \\ 🙂 %s{}'

TASK = TaskAssigned(
    task_id=NOBODY,
    request_id=NOBODY,
    system="billing",
    attempt=2,
    action=Action.ACCESS,
    right=Right.ACCESS,
    regulation="gdpr",
    policy_version="2026-01",
    scope=(
        ScopeItem(category="invoices", purposes=("tax",), basis=LegalBasis.CONTRACT, instruction=Instruction.RETAIN),
    ),
    due_at=NOW,
    personal=SEALED,
)
PLANNED = PlannedSystem(
    system="billing",
    state=SystemState.ASKED,
    action=Action.ERASE,
    task_id=NOBODY,
    attempt=2,
    due_at=NOW,
    earlier=(PastTask(task_id=NOBODY, action=Action.HOLD),),
    left_out=(LeftOutCategory(category="invoices", ground="gdpr.17_3_b"),),
)
PLAN = PlanMade(request_id=NOBODY, version=1, systems=())
STATUS = StatusChanged(
    request_id=NOBODY,
    reference="HB-0000-0000",
    version=1,
    state=RequestState.IN_PROGRESS,
    right="a_right_of_tomorrow",
    regulation="gdpr",
    received_at=NOW,
    since=NOW,
    due=None,
)
IDENTITY = Identity(identity_type="email", identity_value=NAME)

instants = st.datetimes(min_value=datetime(1, 1, 1), max_value=datetime(9999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
texts = st.text(st.characters(exclude_categories=["Cs"]))
systems = st.sampled_from(["billing", "support"])

MEMBERS: list[tuple[Model, Mapping[str, st.SearchStrategy[Any]]]] = [
    (
        TASK,
        {
            "task_id": st.uuids(),
            "request_id": st.uuids(),
            "period": st.none() | st.builds(Period, start=st.none() | instants, end=instants),
            "due_at": instants,
            "personal": texts,
        },
    ),
    (
        PLANNED,
        {
            "task_id": st.none() | st.uuids(),
            "due_at": st.none() | instants,
            "attempt": st.integers(0, 2**31),
            "earlier": st.lists(st.builds(PastTask, task_id=st.uuids(), action=st.sampled_from(Action))).map(tuple),
        },
    ),
    (
        STATUS,
        {
            "request_id": st.uuids(),
            "reference": texts,
            "version": st.integers(1, 2**31),
            "state": st.sampled_from(RequestState),
            "since": instants,
            "due": st.none()
            | st.builds(
                Due, at=instants, on=st.dates(), rule=st.just(NAME), original_at=instants, extended=st.booleans()
            ),
            "overdue": st.booleans(),
            "systems": st.lists(
                st.builds(SystemStatus, system=systems, state=st.sampled_from(SystemState), reason=st.just("hold"))
            ).map(tuple),
            "answer": st.none() | st.builds(AnswerStatus, available=st.booleans(), expires_at=st.none() | instants),
        },
    ),
    (
        TaskSubject(identities=(IDENTITY,)),
        {"identities": st.lists(st.just(IDENTITY)).map(tuple)},
    ),
    (IDENTITY, {"identity_value": texts}),
]


@given(st.sampled_from(MEMBERS), st.data())
def test_it_writes_what_the_model_would(case: tuple[Model, Mapping[str, st.SearchStrategy[Any]]], data: Any) -> None:
    like, members = case
    names = data.draw(st.lists(st.sampled_from(sorted(members)), unique=True))
    own = {name: data.draw(members[name]) for name in names}
    written = Form(like, *names).fill(**own)
    assert written.data == like.model_copy(update=own).model_dump_json().encode()
    assert written.model is type(like)


@given(st.lists(st.uuids(), max_size=3))
def test_what_is_written_can_be_a_member_of_another(task_ids: list[UUID]) -> None:
    planned, plan = Form(PLANNED, "task_id"), Form(PLAN, "request_id", "systems")
    written = plan.fill(request_id=NOBODY, systems=[planned.fill(task_id=task_id) for task_id in task_ids])
    rows = tuple(PLANNED.model_copy(update={"task_id": task_id}) for task_id in task_ids)
    assert written.data == PLAN.model_copy(update={"systems": rows}).model_dump_json().encode()


def test_an_id_of_a_database_driver_is_an_id() -> None:
    class DriversUUID(UUID):
        pass

    task_id = UUID("0e4fd2a6-6d8e-4a0e-8a51-0a9d2b1c3d4e")
    form = Form(TASK, "task_id")
    assert form.fill(task_id=DriversUUID(bytes=task_id.bytes)) == form.fill(task_id=task_id)


def _sent(body: TaskAssigned | Written[TaskAssigned], subject: UUID) -> CloudEvent:
    return write(body, subject=subject, source="habeas/test", now=NOW, new_id=lambda: NOBODY)


@pytest.mark.parametrize("own", [("request_id", "due_at"), ("due_at",)])
def test_it_is_sent_as_the_model_is(own: tuple[str, ...]) -> None:
    written = Form(TASK, *own).fill(**{name: getattr(TASK, name) for name in own})
    assert _sent(written, NOBODY) == _sent(TASK, NOBODY)
    with pytest.raises(ContractError) as refused:
        _sent(written, UUID(int=1))
    assert refused.value.reason is Reason.KEY_MISMATCH


def test_it_is_sealed_as_the_model_is() -> None:
    ring = Keyring([key("billing", 1)])
    place = Place("billing", TaskAssigned.TYPE, NOBODY, NOBODY)
    personal = TaskPersonal(subject=TaskSubject(identities=(IDENTITY,)))
    written: Written[PersonalModel] = Form(personal, "subject").fill(subject=personal.subject)
    assert read_personal(ring, place, seal_personal(ring, place, written), TaskPersonal) == personal
    assert NAME not in repr(written)


@pytest.mark.parametrize(
    "own", [{}, {"task_id": NOBODY}, {"task_id": NOBODY, "due": NOW}, {"task_id": 1, "due_at": 2, "x": 3}]
)
def test_other_names_are_refused(own: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=r"due_at.*task_id"):
        Form(TASK, "task_id", "due_at").fill(**own)


def test_a_member_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"TaskAssigned has no .*due_on"):
        Form(TASK, "due_on")


def test_a_model_that_writes_a_member_in_its_own_way_has_no_form() -> None:
    class Amount(Model):
        cents: Annotated[int, PlainSerializer(lambda cents: f"{cents / 100:.2f}")]
        currency: str

    for own in ("cents", "currency"):
        with pytest.raises(ValueError, match="Amount is not written as its members are"):
            Form(Amount(cents=1250, currency="EUR"), own)


@pytest.mark.parametrize("value", ["\ud800", 2**70, object(), (IDENTITY, "\ud800")])
def test_what_json_cannot_hold_is_refused_and_not_quoted(value: object) -> None:
    with pytest.raises(ContractError) as refused:
        Form(TASK, "personal").fill(personal=value)
    assert refused.value.reason is Reason.MEMBER_INVALID
    assert refused.value.__context__ is None
