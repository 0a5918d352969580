"""What a portal says: sealed, complete, and refused with a pointer before it leaves."""

import json
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from portal_counter import NOW

from habeas.contracts import CloudEvent, ContractError, Keyring, Place, Reason
from habeas.contracts.canonical import canonical
from habeas.contracts.catalogue import read, read_personal
from habeas.contracts.sealing import JsonWebKey, new_key
from habeas.contracts.submission import (
    AmendedPersonal,
    ConfirmedPersonal,
    IdentityConfirmed,
    RequestAmended,
    RequestSubmitted,
    RequestWithdrawn,
    SubmissionPersonal,
)
from habeas.portal import Identity, Requester, Subject, Writer, proven
from habeas.portal.messages import submission_personal

KEYRING = Keyring([JsonWebKey.model_validate(new_key("web"))])
ADA = proven("email", "ada@example.org", at=NOW)


def writer(now: datetime = NOW) -> Writer:
    return Writer("web", KEYRING, now)


def opened(event: CloudEvent, model: Any) -> tuple[Any, Any]:
    body = read(event, model)
    return body, read_personal(KEYRING, Place("web", event.type, event.subject), body.personal, model.PERSONAL)


def document(**members: Any) -> dict[str, Any]:
    return {"right": "access", "personal": submission_personal(None, [ADA], None), **members}


def test_a_submission_is_complete_and_says_nothing_in_clear() -> None:
    event = writer().submitted(document(jurisdiction="DE-BE"))
    assert b"ada" not in event.data
    assert "ada" not in repr(event)
    body, personal = opened(event, RequestSubmitted)
    assert (event.type, event.source, event.time) == (RequestSubmitted.TYPE, "portals/web", NOW)
    assert (body.submitted_time, body.received_at, body.jurisdiction) == (NOW, NOW, "DE-BE")
    assert personal == SubmissionPersonal(
        subject=Subject(identities=(ADA,)), requester=Requester(email="ada@example.org")
    )


def test_models_and_plain_json_make_the_same_request() -> None:
    request_id = uuid4()
    times = {"request_id": str(request_id), "received_at": "2026-03-02T10:15:00+01:00"}
    proof = {"method": "portal_login", "at": "2026-03-02T09:15:00Z", "level": "substantial"}
    plain = json.loads(
        json.dumps(
            {
                "subject": {
                    "identities": [{"identity_type": "email", "identity_value": "ada@example.org", "proof": proof}]
                },
                "requester": {"email": "ada@example.org"},
            }
        )
    )
    first = opened(writer().submitted(document(**times)), RequestSubmitted)
    later = opened(
        writer(NOW + timedelta(days=1)).submitted({**times, "right": "access", "personal": plain}), RequestSubmitted
    )
    assert canonical(*first) == canonical(*later)


def test_the_writer_of_mails_is_the_proven_address_unless_said_otherwise() -> None:
    claimed = Identity(identity_type="email", identity_value="claimed@example.org")
    account = proven("account_id", "4711", at=NOW)
    assert submission_personal(Subject(name="Ada"), [claimed, account], None)["requester"] == Requester(name="Ada")
    given = Requester(relationship="parent", email="p@example.org")
    assert submission_personal(None, [ADA], given)["requester"] is given
    both = submission_personal(Subject(name="Ada", identities=(account,)), [ADA], None)
    assert both["subject"].identities == (account, ADA)
    assert both["requester"] == Requester(name="Ada", email="ada@example.org")


def test_an_address_that_nobody_can_write_to_breaks_the_contract() -> None:
    with pytest.raises(ContractError) as caught:
        submission_personal(None, [proven("email", "no address", at=NOW)], None)
    assert (caught.value.reason, caught.value.pointer) == (Reason.MEMBER_INVALID, "/personal/requester/email")
    assert "no address" not in str(caught.value)


def test_a_given_id_needs_its_time_so_that_a_repeat_is_no_conflict() -> None:
    with pytest.raises(ContractError) as caught:
        writer().submitted(document(request_id=uuid4()))
    assert (caught.value.reason, caught.value.pointer) == (Reason.MEMBER_MISSING, "/received_at")


SECRET = "Ada Lovelace"


@pytest.mark.parametrize(
    ("spoilt", "pointer"),
    [
        ({"right": SECRET}, "/right"),
        ({"right": 7}, "/right"),
        ({"request_id": SECRET, "received_at": NOW}, "/request_id"),
        ({"received_at": datetime(2026, 3, 2)}, "/received_at"),  # noqa: DTZ001 - that it is naive is the point
        ({"jurisdiction": SECRET}, "/jurisdiction"),
        ({"after": [SECRET]}, "/after/0"),
        ({"personal": SECRET}, "/personal"),
        ({"personal": {"subject": {}, "requester": {"email": SECRET}}}, "/personal/requester/email"),
        ({"personal": {"requester": {}}}, "/personal/subject"),
        ({"personal": {"subject": {"name": "Ada\nLovelace"}}}, "/personal/subject/name"),
        ({"personal": {"subject": {"name": "\ud800"}}}, "/personal"),
        ({"personal": {"subject": {"name": object()}}}, "/personal"),
        ({"personal": {"subject": {"identities": [ADA] * 51}}}, "/personal/subject/identities"),
    ],
)
def test_what_breaks_the_contract_is_named_by_pointer_and_never_quoted(spoilt: dict[str, Any], pointer: str) -> None:
    with pytest.raises(ContractError) as caught:
        writer().submitted(document(**spoilt))
    assert caught.value.pointer == pointer
    assert "Ada" not in f"{caught.value} {caught.value!r} {caught.value.__context__!r} {caught.value.__cause__!r}"


def test_an_identity_that_cannot_be_is_named_by_pointer() -> None:
    with pytest.raises(ContractError) as caught:
        proven("E-Mail", "ada@example.org", at=NOW)
    assert caught.value.pointer == "/identity_type"
    assert "ada" not in str(caught.value)


def test_an_amendment_holds_what_was_given_alone() -> None:
    request_id, question = uuid4(), uuid4()
    given = {"request_id": request_id, "answers": question, "personal": {"identities": (ADA,), "requester": None}}
    body, personal = opened(writer().amended(given), RequestAmended)
    assert (body.request_id, body.answers) == (request_id, question)
    assert personal == AmendedPersonal(identities=(ADA,))


@pytest.mark.parametrize("personal", [{}, {"identities": (), "requester": None, "details": None}])
def test_an_amendment_that_adds_nothing_is_refused(personal: dict[str, Any]) -> None:
    with pytest.raises(ContractError) as caught:
        writer().amended({"request_id": uuid4(), "personal": personal})
    assert caught.value.pointer == "/personal"


def test_a_withdrawal_has_a_word_as_its_reason() -> None:
    request_id = uuid4()
    event = writer().withdrawn({"request_id": request_id, "reason": "changed_mind"})
    assert read(event, RequestWithdrawn) == RequestWithdrawn(request_id=request_id, reason="changed_mind")
    with pytest.raises(ContractError) as caught:
        writer().withdrawn({"request_id": request_id, "reason": "Ada changed her mind"})
    assert caught.value.pointer == "/reason"
    assert "Ada" not in str(caught.value)


def test_a_confirmation_needs_an_identity() -> None:
    request_id = UUID("5b0f3d1e-8c1a-4f0e-9d57-2f6d1c7a9e10")
    event = writer().confirmed({"request_id": request_id, "personal": {"identities": (ADA,)}})
    assert opened(event, IdentityConfirmed)[1] == ConfirmedPersonal(identities=(ADA,))
    with pytest.raises(ContractError) as caught:
        writer().confirmed({"request_id": request_id, "personal": {"identities": ()}})
    assert caught.value.pointer == "/personal/identities"
