"""What the notifier is asked for is written by hand: it has to be what the models would have written."""

from uuid import UUID

import pytest

from habeas.contracts import Place
from habeas.contracts.status import StatusReason
from habeas.contracts.submission import Details, Requester
from services.collector import letters
from services.collector.case import Case, Planned, Result, Told
from shared.events import (
    Audience,
    LeftOutCategory,
    Notice,
    NoticePersonal,
    NoticeRequested,
    OpenedPersonal,
    Recipient,
    RequestOpened,
)
from shared.messaging.work import Work
from tests.collector.samples import EMAIL, PERSONAL, item, opened, plan, task
from tests.core.workbench import NOW, REGISTRY, Keys

ONE = UUID(int=1)
LIMITED = PERSONAL.model_copy(update={"details": Details(categories=("account", "invoices"))})
REPORTER = PERSONAL.model_copy(
    update={"requester": Requester(name="Bo", email="bo@example.org", relationship="reporter")}
)


@pytest.mark.parametrize("personal", [PERSONAL, LIMITED, REPORTER], ids=["whole", "limited", "reporter"])
@pytest.mark.parametrize(
    ("notice", "recipient"),
    [
        (Notice.ACKNOWLEDGED, Recipient.REQUESTER),
        (Notice.PARTIALLY_COMPLETED, Recipient.REQUESTER),
        (Notice.DPO_REVIEW, Recipient.DPO),
    ],
)
def test_a_letter_is_asked_for_in_the_words_of_its_models(
    keys: Keys, notice: Notice, recipient: Recipient, personal: OpenedPersonal
) -> None:
    """Byte for byte: no member is missing, and none has another name, place or spelling."""
    work = Work("collector", None, keys.file.keyring(), NOW)  # type: ignore[arg-type]  # no statement is made
    reporter = personal is REPORTER
    request = opened(
        request_id=ONE,
        audience=Audience.BYSTANDER if reporter else Audience.PERSON,
        personal=keys.seal("services", RequestOpened, ONE, personal),
    )
    rows = tuple(map(Planned.of, plan(ONE, billing="asked", support="excluded").systems))
    left_out = (LeftOutCategory(category="logs", ground="not_provided"),)
    known = Case(
        request,
        plan=(rows[0], rows[1]._replace(left_out=left_out)),
        results={task(ONE, "billing"): Result("billing", "partial", (item("retained"), item()), None)},
    )
    letters.ask_for(Told(notice, recipient), known, StatusReason(code="system_failed"), REGISTRY, work)
    (sent,) = work.outgoing
    body = NoticeRequested.model_validate_json(sent.value or b"")
    assert body.model_dump_json().encode() == sent.value
    told = work.keyring.open(Place("services", NoticeRequested.TYPE, ONE), body.personal)
    read = NoticePersonal.model_validate_json(told)
    assert read.model_dump_json().encode() == told
    to_requester = recipient is Recipient.REQUESTER
    assert (body.notice, body.outcome, read.audience) == (
        notice,
        "partially_completed" if notice is Notice.PARTIALLY_COMPLETED else None,
        Audience.BYSTANDER if reporter and to_requester else Audience.PERSON,
    )
    final = notice is not Notice.ACKNOWLEDGED and not (reporter and to_requester)
    assert [each.did for each in read.statement] == (["retained", "deleted"] if final else [])
    assert [each.system for each in read.systems] == (["billing", "support"] if final else [])
    assert [each.category for each in read.not_covered] == (["logs"] if final else [])
    assert read.limited is (personal is LIMITED)
    assert read.email == (None if not to_requester else "bo@example.org" if reporter else EMAIL.identity_value)
    assert read.name == ("Ana" if to_requester and not reporter else None)
