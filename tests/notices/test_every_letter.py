"""Every letter that can occur: each notice, right and reader, in both its forms, against what it must say."""

import re
from datetime import date
from itertools import product
from typing import Any, Final

import pytest

from habeas.contracts.status import StatusReason
from services.notifier.domain import Mail
from services.notifier.mails import MailRenderer
from services.notifier.mails.privacy_team import RIGHTS
from shared.events import Audience, NotCovered, Notice, StatementItem, SystemNote
from shared.registry import Registry
from tests.notices.reading import both_forms, parsed, part, words
from tests.notices.samples import LINK, NOW, REQUEST, mail


def item(system: str, category: str, did: str, count: int = 2, **members: Any) -> StatementItem:
    return StatementItem(system=system, category=category, did=did, count=count, **members)


STATEMENTS: Final[dict[str, tuple[StatementItem, ...]]] = {
    "access": (
        item("billing", "invoices", "disclosed"),
        item("support", "support_conversations", "withheld", ground="rights_of_others"),
    ),
    "portability": (
        item("billing", "account", "exported"),
        item("payments", "charges", "withheld", ground="not_provided_by_person"),
    ),
    "rectification": (
        item("billing", "account", "rectified", 1),
        item("billing", "account", "recipients_notified", 2),
    ),
    "erasure": (
        item("support", "support_conversations", "deleted"),
        item("billing", "invoices", "retained", ground="accounting_records", until=date(2034, 12, 31)),
        item("analytics", "visits", "anonymized"),
        item("payments", "payment_customer", "detached"),
        item("billing", "invoices", "recipients_notified", 1),
    ),
    "restriction": (
        item("support", "support_conversations", "restricted"),
        item("billing", "account", "recipients_notified", 1),
    ),
    "objection": (
        item("analytics", "marketing_preference", "stopped"),
        item("analytics", "marketing_preference", "suppressed", 1),
        item("analytics", "visits", "unrestricted", ground="overriding_grounds"),
    ),
    "consent_withdrawal": (
        item("analytics", "visits", "stopped"),
        item("analytics", "marketing_preference", "retained", 1, ground="proof_of_consent", until=date(2029, 12, 31)),
    ),
}
ASKED: Final = {
    "access": (
        "for a copy of the data we hold about you",
        "for a copy of the data we hold about the person you act for",
    ),
    "portability": (
        "for your data in a form that you can take elsewhere",
        "for the data of the person you act for, in a",
    ),
    "rectification": ("to correct your data", "to correct the data of the person you act for"),
    "erasure": ("to delete your data", "to delete the data of the person you act for"),
    "restriction": ("to restrict what we do with your data", "with the data of the person you act for"),
    "objection": ("to stop processing that you object to", "that the person you act for objects to"),
    "consent_withdrawal": ("to act on your withdrawn consent", "a consent that the person you act for has withdrawn"),
}
NEXT: Final = {
    "access": "From their answers we make the copy",
    "portability": "files that other services can read",
    "rectification": "Whoever received it from us is told as well (GDPR Art. 19)",
    "erasure": "we tell you what, why, and until when",
    "restriction": "You are told before we ever lift that (Art. 18(3))",
    "objection": "a person then weighs the objection against our reasons",
    "consent_withdrawal": "stop at once what rests on that consent",
}
LEFT: Final = {
    "access": "2 records not in {their} copy. Parts concern other people as well. Handing them over would harm "
    "their rights. (GDPR Art. 15(4), 20(4))",
    "portability": "Charges: 2 records not in the files.",
    "rectification": "Account and subscription: 1 record corrected.",
    "erasure": "Invoices: 2 records kept, until 31 December 2034. Tax and accounting law obliges us to keep "
    "these records. We use them for nothing else. (GDPR Art. 17(3)(b))",
    "restriction": "Support conversations: 2 records restricted.",
    "objection": "Visits: 2 records in normal use again. We have weighed your objection. Compelling reasons for the "
    "processing outweigh it. (GDPR Art. 21(1))",
    "consent_withdrawal": "Marketing preference: 1 record kept, until 31 December 2029. We must be able to show",
}
AFTERWARDS: Final = {
    "access": "With this the request is closed.",
    "portability": "give them to another service. We put nothing in the way of that (GDPR Art. 20(1))",
    "rectification": "Is something still wrong?",
    "erasure": "What we keep is deleted when its time has come",
    "restriction": "You are told before that happens (GDPR Art. 18(3))",
    "objection": "No marketing messages come any more",
    "consent_withdrawal": "What we did before the withdrawal stays lawful",
}
TAKEN_BACK: Final = {
    "access": "nothing is handed out",
    "portability": "nothing is handed out",
    "rectification": "stays as it was",
    "erasure": "What was deleted cannot be brought back",
    "restriction": "is used as before",
    "objection": "goes on as before",
    "consent_withdrawal": "goes on as before",
}
REMEDIES: Final = (  # GDPR Art. 12(4)
    "complain to a supervisory authority, at no cost",
    "Bayerisches Landesamt für Datenschutzaufsicht",
    "https://www.lda.bayern.de",
    "GDPR Art. 77",
    "You may also go to court",
    "GDPR Art. 79",
)
SYSTEMS: Final = (
    SystemNote(system="payments", state="excluded", reason="identifier_not_found"),
    SystemNote(system="support", state="finished", outcome="nothing_held"),
)
READERS: Final = (Audience.PERSON, Audience.REPRESENTATIVE)
RIGHT_NAMES: Final = [str(right) for right in RIGHTS]
NOTICES: Final = (
    Notice.ACKNOWLEDGED,
    Notice.COMPLETED,
    Notice.PARTIALLY_COMPLETED,
    Notice.NOTHING_HELD,
    Notice.REFUSED,
    Notice.NOT_CONTROLLER,
    Notice.WITHDRAWN,
    Notice.RESTRICTION_LIFTING,
)
COPIES: Final = {"access", "portability"}


def letter(notice: Notice, right: str, audience: str, **person: Any) -> Mail:
    """As the collector asks for it, with everything that it can carry."""
    given: dict[str, Any] = {"audience": audience, "systems": SYSTEMS}
    reason = None
    link = None
    match notice:
        case Notice.COMPLETED | Notice.PARTIALLY_COMPLETED | Notice.WITHDRAWN | Notice.RESTRICTION_LIFTING:
            given["statement"] = STATEMENTS[right]
            link = LINK if right in COPIES and notice is not Notice.WITHDRAWN else None
        case Notice.REFUSED:
            reason = StatusReason(code="unfounded_or_excessive")
        case Notice.NOT_CONTROLLER:
            given["elsewhere"] = ("own_installation",)
        case _:
            pass
    return mail(notice, link=link, right=right, reason=reason, person=given | person)


def mandatory(notice: Notice, right: str, audience: str) -> tuple[str, ...]:
    for_another = audience is Audience.REPRESENTATIVE
    whom, their = ("the person", "the person's") if for_another else ("you", "your")
    answered = (*((LINK, "25 March 2026", "48 kB") if right in COPIES else ()), LEFT[right].format(their=their))
    of_notice: dict[Notice, tuple[str, ...]] = {
        Notice.ACKNOWLEDGED: (NEXT[right], "by 2 April 2026 at the latest", "1 month from receipt", "Computed"),
        Notice.COMPLETED: (*answered, AFTERWARDS[right]),
        Notice.PARTIALLY_COMPLETED: (*answered, AFTERWARDS[right]),
        Notice.NOTHING_HELD: (f"we hold no data about {whom}", f"Nothing about {whom} is held here."),
        Notice.REFUSED: ("found it manifestly unfounded", "GDPR Art. 12(5)(b)"),
        Notice.NOT_CONTROLLER: (
            "own installation of Ale",
            "Please ask the organisation that runs that installation.",
            "GDPR Art. 4(7)",
        ),
        Notice.WITHDRAWN: (
            "What had been done until then",
            "All other data stays with us as it is",
            TAKEN_BACK[right],
        ),
        Notice.RESTRICTION_LIFTING: (
            "before we lift the restriction",
            "GDPR Art. 18(3)",
            "Until we lift it, nothing changes",
        ),
    }
    remedies = () if notice is Notice.ACKNOWLEDGED else REMEDIES
    return ("HB-7K3M-Q2P9", ASKED[right][for_another], *of_notice[notice], *remedies)


EVERY: Final = tuple(
    (notice, right, audience)
    for notice, right, audience in product(NOTICES, RIGHT_NAMES, READERS)
    if notice is not Notice.RESTRICTION_LIFTING or right == "restriction"
)


@pytest.fixture(scope="module")
def renderer(registry: Registry) -> MailRenderer:
    return MailRenderer(registry)


@pytest.mark.parametrize(("notice", "right", "audience"), EVERY)
def test_each_letter_says_what_it_must(renderer: MailRenderer, notice: Notice, right: str, audience: str) -> None:
    for form in both_forms(renderer, letter(notice, right, audience)):
        # The page gives an entry a line of its own where the text has a colon and a full stop.
        said = re.sub(r"[:.]", "", form).casefold()
        for phrase in mandatory(notice, right, audience):
            assert re.sub(r"[:.]", "", phrase).casefold() in said


@pytest.mark.parametrize(("notice", "right", "audience"), EVERY)
def test_each_letter_is_whole(renderer: MailRenderer, notice: Notice, right: str, audience: str) -> None:
    """No hole of a template, no word of the code, no line that is too long, and the same bytes each time."""
    sent = letter(notice, right, audience)
    raw = renderer.letter(sent, NOW).content
    assert raw == renderer.letter(sent, NOW).content
    message = parsed(raw)
    assert message["Message-ID"] == f"<{notice}.requester.1.{REQUEST}@ale.example>"
    for form in both_forms(renderer, sent):
        assert not re.search(r"[{}]|\bNone\b(?! of the details)|\bundefined\b|[a-z]_[a-z]|  |\.\.|\s[.,;:]\s", form)
    for line in part(message, "plain").splitlines():
        assert len(line) <= 72 or " " not in line.strip()


@pytest.mark.parametrize(("notice", "right"), sorted({(notice, right) for notice, right, _ in EVERY}))
def test_who_acts_for_another_is_not_spoken_to_as_the_person(
    renderer: MailRenderer, notice: Notice, right: str
) -> None:
    text, _ = both_forms(renderer, letter(notice, right, Audience.REPRESENTATIVE))
    for phrase in ("your data", "about you", "your copy", "that you object to", "where you live is"):
        assert phrase not in text.partition("complain to a supervisory")[0].replace(
            "under the details that you gave us", ""
        )


BYSTANDER: Final = {
    "name": "Ana Müller",
    "statement": STATEMENTS["erasure"],
    "systems": SYSTEMS,
    "not_covered": (NotCovered(system="payments", category="charges", ground="other_legal_basis"),),
    "elsewhere": ("own_installation",),
}


@pytest.mark.parametrize("audience", [Audience.BYSTANDER, "somebody_new"])
@pytest.mark.parametrize("right", RIGHT_NAMES)
def test_a_bystander_reads_the_same_whatever_was_found_or_done(
    renderer: MailRenderer, right: str, audience: str
) -> None:
    """Not even whether anything was held: neither in the text nor in a header, the length or the link."""
    mails = {
        renderer.letter(
            mail(
                notice,
                link=link,
                right=right,
                reason=reason,
                person={"audience": audience} | (BYSTANDER if full else {}),
            ),
            NOW,
        ).content
        for notice, link, reason, full in product(
            set(NOTICES) - {Notice.ACKNOWLEDGED},
            (None, LINK),
            (None, StatusReason(code="identity_not_established")),
            (False, True),
        )
    }
    (raw,) = mails
    text = words(part(parsed(raw), "plain"))
    assert "dealt with" in text
    for secret in ("Ana", "Müller", "Billing", "Invoices", "record", "Erasure", "delete", LINK, "installation"):
        assert secret not in text


def test_a_bystander_is_told_that_the_report_was_received(renderer: MailRenderer) -> None:
    reports = {
        renderer.letter(
            mail(
                "acknowledged",
                right=right,
                reason=StatusReason(code=code) if code else None,
                person=BYSTANDER | {"audience": Audience.BYSTANDER},
            ),
            NOW,
        ).content
        for right, code in product(("erasure", "unclassified", "access"), ("child_reported", None))
    }
    (raw,) = reports
    for text in (words(part(parsed(raw), "plain")), words(part(parsed(raw), "html"))):
        assert "A person of our privacy team looks at what you reported." in text
        assert "HB-7K3M-Q2P9" in text
        assert "Müller" not in text


def test_the_privacy_team_sees_the_case_whoever_asked(renderer: MailRenderer) -> None:
    failed = SystemNote(system="billing", state="finished", outcome="failed", reason="store_unreachable")
    sent = mail(
        "dpo_review",
        right="erasure",
        reason=StatusReason(code="system_failed"),
        person={"audience": Audience.BYSTANDER, "systems": (failed,)},
    )
    text, _ = both_forms(renderer, sent)
    assert "Billing: finished, failed, store_unreachable" in text


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("right_not_classified", "We want to be sure that we understand what you ask for."),
        ("acts_for_another", "we have to see that you may (GDPR Art. 12(2))"),
        ("child_reported", "It is about a child"),
        ("corrections_missing", "what is wrong and what would be right"),
    ],
)
def test_in_triage_the_person_hears_that_a_person_looks_first(renderer: MailRenderer, code: str, sentence: str) -> None:
    for form in both_forms(renderer, mail("acknowledged", right="rectification", reason=StatusReason(code=code))):
        assert "A person looks at your request first." in form
        assert "Nothing is done with the data until our privacy team has decided." in form
        assert sentence in form
        assert "We ask every team" not in form
        assert "by 2 April 2026 at the latest" in form


@pytest.mark.parametrize("right", RIGHT_NAMES)
def test_what_a_right_does_not_cover_stands_in_every_answer_with_its_ground(renderer: MailRenderer, right: str) -> None:
    covered = tuple(
        NotCovered(system="payments", category=category, ground=ground)
        for category, ground in (
            ("charges", "other_legal_basis"),
            ("fraud_signals", "other_legal_basis"),
            ("payment_customer", "not_provided_by_person"),
        )
    )
    note = SystemNote(system="payments", state="excluded", reason="right_does_not_reach")
    for notice in (Notice.COMPLETED, Notice.PARTIALLY_COMPLETED, Notice.NOTHING_HELD, Notice.REFUSED):
        sent = letter(notice, right, Audience.PERSON, not_covered=covered, systems=(note,))
        for form in both_forms(renderer, sent):
            assert "not covered by this right" in form.casefold()
            assert "Charges; Fraud signals" in form
            assert "on this legal basis. (GDPR Art. 20(1)(a), 21(1))" in form
            assert "This right covers what you gave us" in form
            assert "does not cover what is held here" not in form  # named once: by its categories


def test_nothing_held_does_not_deny_what_is_merely_not_covered(renderer: MailRenderer) -> None:
    beyond = (NotCovered(system="payments", category="charges", ground="not_provided_by_person"),)
    sent = letter(Notice.NOTHING_HELD, "portability", Audience.PERSON, not_covered=beyond)
    assert parsed(renderer.letter(sent, NOW).content)["Subject"].endswith("nothing in what it covers")
    for form in both_forms(renderer, sent):
        assert "we hold no data about you that this right covers" in form


def test_nothing_held_of_a_part_does_not_deny_the_rest(renderer: MailRenderer) -> None:
    sent = letter(Notice.NOTHING_HELD, "access", Audience.PERSON, limited=True)
    for form in both_forms(renderer, sent):
        assert "we hold no data about you in the part that you named" in form


def test_whom_to_ask_instead_stands_beside_what_was_done(renderer: MailRenderer) -> None:
    sent = letter(Notice.COMPLETED, "access", Audience.PERSON, elsewhere=("own_installation", "moon_base"))
    for form in both_forms(renderer, sent):
        assert "ask somebody else" in form.casefold()
        assert "Please ask the organisation that runs that installation." in form
        assert "Moon base" in form
        assert "Please ask the organisation that does." in form


def test_recipients_that_were_told_are_named(renderer: MailRenderer) -> None:
    for form in both_forms(renderer, letter(Notice.COMPLETED, "rectification", Audience.PERSON)):
        assert "2 recipients told" in form
        assert "Told: Paynor Payments Ltd., Nordwolke Hosting GmbH." in form
        assert "You may ask us at any time who these recipients are (GDPR Art. 19)." in form


def test_who_was_told_is_not_claimed_where_only_the_number_is_known(renderer: MailRenderer) -> None:
    for form in both_forms(renderer, letter(Notice.COMPLETED, "restriction", Audience.PERSON)):
        assert "1 recipient told" in form
        assert "This kind of data goes to: Paynor Payments Ltd., Nordwolke Hosting GmbH." in form
        assert "Told:" not in form


@pytest.mark.parametrize(
    ("right", "given", "left"),
    [
        ("restriction", {"did": "restricted"}, False),
        ("restriction", {"did": "restricted", "ground": "restricted"}, False),
        ("erasure", {"did": "restricted", "ground": "legal_claims"}, True),
        ("objection", {"did": "stopped"}, False),
        ("objection", {"did": "unrestricted", "ground": "overriding_grounds"}, True),
        ("restriction", {"did": "unrestricted"}, False),
        ("erasure", {"did": "retained", "ground": "held_for_request"}, True),
        ("consent_withdrawal", {"did": "suppressed"}, False),
        ("erasure", {"did": "detached"}, False),
    ],
)
def test_what_was_done_and_what_was_left_stand_apart(
    renderer: MailRenderer, right: str, given: dict[str, str], left: bool
) -> None:
    line = item("support", "support_conversations", **given)  # type: ignore[arg-type]
    text = part(
        parsed(renderer.letter(mail("partially_completed", right=right, person={"statement": (line,)}), NOW).content),
        "plain",
    )
    assert ("WHAT WE DID" in text) != left
    assert words(text).count("Support conversations: 2 records") == 1


def test_what_waits_for_another_request_is_not_said_to_be_deleted_in_time(renderer: MailRenderer) -> None:
    held = item("billing", "account", "retained", ground="held_for_request")
    text, _ = both_forms(renderer, mail("partially_completed", right="erasure", person={"statement": (held,)}))
    assert "until the request of yours that comes first has been answered" in text
    assert "deleted when its time has come" not in text


def test_a_withdrawal_before_anything_was_done_says_so(renderer: MailRenderer) -> None:
    for form in both_forms(renderer, mail("withdrawn", right="erasure", person={"statement": ()})):
        assert "until then nothing." in form.casefold()


@pytest.mark.parametrize("right", sorted(COPIES))
def test_no_copy_is_spoken_of_that_was_never_handed_out(renderer: MailRenderer, right: str) -> None:
    for form in both_forms(renderer, letter(Notice.WITHDRAWN, right, Audience.PERSON)):
        assert "We had begun to look for the data." in form
        assert "2 records" not in form


def test_a_system_that_refused_with_a_ground_says_which(renderer: MailRenderer) -> None:
    note = SystemNote(system="billing", state="finished", outcome="refused", reason="legal_claims")
    for form in both_forms(renderer, mail("partially_completed", right="erasure", person={"systems": (note,)})):
        assert "A legal claim is open for which this is needed." in form
        assert "GDPR Art. 17(3)(e)" in form
