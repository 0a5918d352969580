"""The mails: what each must say, in both its forms, and what no mail may ever carry."""

import email
import email.policy
import re
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import cache
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from habeas.contracts.status import StatusReason
from services.notifier.domain import AddressError, Mail, UnknownNoticeError
from services.notifier.mails import MailRenderer
from services.notifier.mails.form import fill
from services.notifier.mails.mime import UnsafeHeaderError, header
from shared.events import Notice, Recipient, StatementItem, SystemNote
from shared.registry import load_registry
from tests.notices.reading import Page, parsed, part, words
from tests.notices.samples import LINK, NOW, REQUEST, ROOT, mail

KEPT_INVOICES = StatementItem(
    system="billing",
    category="invoices",
    did="retained",
    count=12,
    ground="accounting_records",
    until=date(2034, 12, 31),
)
DELETED = StatementItem(system="support", category="support_conversations", did="deleted", count=1)
WITHHELD = StatementItem(
    system="support", category="support_conversations", did="withheld", count=2, ground="rights_of_others"
)
DISCLOSED = StatementItem(system="billing", category="invoices", did="disclosed", count=3)
NOT_FOUND = SystemNote(system="payments", state="excluded", reason="identifier_not_found")
NOTHING = SystemNote(system="billing", state="finished", outcome="nothing_held")
FAILED = SystemNote(system="billing", state="finished", outcome="failed", reason="store_unreachable")

MAILS: dict[str, Mail] = {
    "acknowledged": mail("acknowledged"),
    "completed": mail("completed", link=LINK, person={"statement": (DISCLOSED,), "systems": (NOT_FOUND,)}),
    "erased": mail("completed", right="erasure", person={"statement": (DELETED,)}),
    "partially_completed": mail(
        "partially_completed", right="erasure", person={"statement": (KEPT_INVOICES, DELETED), "systems": (NOT_FOUND,)}
    ),
    "copy_in_part": mail("partially_completed", link=LINK, person={"statement": (DISCLOSED, WITHHELD)}),
    "nothing_held": mail("nothing_held", person={"systems": (NOTHING, NOT_FOUND)}),
    "refused": mail("refused", reason=StatusReason(code="identity_not_established")),
    "dpo_review": mail(
        "dpo_review",
        reason=StatusReason(code="system_failed"),
        person={"email": None, "name": None, "systems": (FAILED,)},
    ),
    "dpo_bounced": mail("dpo_review", reason=StatusReason(code="notice_bounced")),
    "dpo_triage": mail("dpo_triage", right="unclassified", regulation=None, jurisdiction=None),
}

AUTHORITY = ("Bayerisches Landesamt für Datenschutzaufsicht", "https://www.lda.bayern.de")
MUST_SAY: dict[str, tuple[str, ...]] = {
    "acknowledged": ("a copy of the data we hold about you", "2 April 2026", "1 month from receipt", "Computed"),
    "completed": ("a copy", LINK, "25 March 2026", "48 kB", "3 records in your copy", *AUTHORITY),
    "erased": ("to delete your data", "1 record deleted", *AUTHORITY),
    "partially_completed": (
        "to delete your data",
        "12 records kept, until 31 December 2034",
        "Tax and accounting law obliges us",
        "GDPR Art. 17(3)(b)",
        "1 record deleted",
        "None of the details that we have of you leads to data here.",
        "GDPR Art. 79",
        *AUTHORITY,
    ),
    "copy_in_part": (LINK, "2 records not in your copy", "Parts concern other people", "GDPR Art. 15(4)", *AUTHORITY),
    "nothing_held": ("we hold no data about you", "Nothing about you is held here.", *AUTHORITY),
    "refused": (
        "We could not establish that it is you",
        "GDPR Art. 12(2)",
        "from your account",
        "GDPR Art. 79",
        *AUTHORITY,
    ),
    "dpo_review": (
        "habeas status HB-7K3M-Q2P9",
        "A system could not",
        "Billing",
        "failed",
        "store_unreachable",
        "2 April 2026",
    ),
    "dpo_bounced": ("could not be delivered", "reach the requester another way", "2 April 2026"),
    "dpo_triage": ("Not classified yet", "not known", "strictest clock", "2 April 2026"),
}


@cache
def _renderer() -> MailRenderer:
    return MailRenderer(load_registry(ROOT / "registry" / "ale.toml"))


@pytest.fixture(scope="module")
def renderer() -> MailRenderer:
    return _renderer()


@pytest.mark.parametrize("name", MAILS)
def test_each_mail_says_what_it_must_in_both_its_forms(renderer: MailRenderer, name: str) -> None:
    message = parsed(renderer.letter(MAILS[name], NOW).content)
    page = Page(part(message, "html"))
    for form in (words(part(message, "plain")), words(" ".join(page.text))):
        for phrase in ("HB-7K3M-Q2P9", *MUST_SAY[name]):
            assert phrase.casefold() in form.casefold()


@pytest.mark.parametrize("name", MAILS)
def test_the_html_is_one_well_formed_column_that_loads_nothing(renderer: MailRenderer, name: str) -> None:
    html = part(parsed(renderer.letter(MAILS[name], NOW).content), "html")
    page = Page(html)
    assert page.open == []
    assert page.loads == []
    assert not {"script", "img", "link", "iframe", "form"} & set(page.tags)
    assert "prefers-color-scheme: dark" in html
    assert 'name="viewport"' in html
    assert all(link.startswith("https://") for link in page.links)
    assert all(link in part(parsed(renderer.letter(MAILS[name], NOW).content), "plain") for link in page.links)


@pytest.mark.parametrize("name", MAILS)
def test_the_headers_make_a_repeat_recognisable(renderer: MailRenderer, name: str) -> None:
    subject = MAILS[name].notice
    message = parsed(renderer.letter(MAILS[name], NOW).content)
    assert message["X-Habeas-Request"] == str(REQUEST)
    assert message["X-Habeas-Notice"] == subject.notice
    assert message["Message-ID"] == f"<{subject.notice}.{subject.recipient}.1.{REQUEST}@ale.example>"
    assert message["From"] == "Ale privacy <privacy@ale.example>"
    assert message["To"] == ("dpo@ale.example" if subject.recipient is Recipient.DPO else "ana@example.com")
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Date"].datetime == NOW
    assert message.get_content_type() == "multipart/alternative"
    assert [item.get_content_type() for item in message.iter_parts()] == ["text/plain", "text/html"]
    assert "HB-7K3M-Q2P9" in message["Subject"]
    assert "Müller" not in message["Subject"]
    assert renderer.letter(MAILS[name], NOW).content == renderer.letter(MAILS[name], NOW).content


def test_another_notice_recipient_ordinal_or_request_has_another_message_id(renderer: MailRenderer) -> None:
    first = MAILS["completed"]
    others: list[dict[str, Any]] = [
        {"ordinal": 2},
        {"recipient": Recipient.DPO},
        {"request_id": uuid4()},
        {"notice": "refused"},
    ]
    mails = [first, *(replace(first, notice=first.notice.model_copy(update=change)) for change in others)]
    assert len({parsed(renderer.letter(item, NOW).content)["Message-ID"] for item in mails}) == len(mails)


def test_there_is_a_mail_for_every_notice(renderer: MailRenderer) -> None:
    for kind in Notice:
        assert renderer.letter(mail(kind), NOW).content


def test_a_notice_without_a_letter_says_so(renderer: MailRenderer) -> None:
    with pytest.raises(UnknownNoticeError, match=r"en/lapsed\.jinja"):
        renderer.letter(mail("lapsed"), NOW)


@pytest.mark.parametrize("name", MAILS)
def test_the_wire_format_is_crlf_in_seven_bits_and_short_lines(renderer: MailRenderer, name: str) -> None:
    raw = renderer.letter(MAILS[name], NOW).content
    assert raw.isascii()
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert b"\r" not in raw.replace(b"\r\n", b"")
    assert max(map(len, raw.split(b"\r\n"))) <= 200
    assert raw.endswith(b"--\r\n")


@pytest.mark.parametrize(
    "name",
    [
        "Ana\r\nBcc: all@example.com",
        "Ana\x00",
        "<b>Ana</b>",
        "Visit www.evil.example",
        "https://evil.example",
        "A" * 81,
        "",
        "\u202eanA",
    ],
)
def test_a_name_that_is_none_is_left_out_or_cleaned(renderer: MailRenderer, name: str) -> None:
    raw = renderer.letter(mail("acknowledged", person={"name": name}), NOW).content
    message = parsed(raw)
    assert message["Bcc"] is None
    for form in ("plain", "html"):
        text = part(message, form)
        assert "evil" not in text
        assert "<b>" not in text
        assert "\u202e" not in text
        assert "Hello," in text or re.search(r"Dear [\w ]+,", text)


@given(st.text(max_size=60))
def test_no_name_breaks_out_of_the_page_or_of_a_header(name: str) -> None:
    raw = _renderer().letter(mail("acknowledged", person={"name": name}), NOW).content
    plain = _renderer().letter(mail("acknowledged", person={"name": None}), NOW).content
    assert parsed(raw).items() == parsed(plain).items()
    assert Page(part(parsed(raw), "html")).tags == Page(part(parsed(plain), "html")).tags


def test_what_systems_write_is_escaped(renderer: MailRenderer) -> None:
    item = StatementItem(system="crm", category="a.b_c", did="deleted", count=1, ground="of_our_own")
    reference = '"><script>alert(1)</script>'
    sent = mail("completed", reference=reference, right="erasure", person={"statement": (item,)})
    page = Page(part(parsed(renderer.letter(sent, NOW).content), "html"))
    assert "script" not in page.tags
    assert reference in " ".join(page.text)


def said(renderer: MailRenderer, sent: Mail) -> str:
    return words(part(parsed(renderer.letter(sent, NOW).content), "plain"))


def test_what_differs_only_in_its_year_is_one_line(renderer: MailRenderer) -> None:
    years = tuple(KEPT_INVOICES.model_copy(update={"count": 1, "until": date(year, 12, 31)}) for year in (2031, 2029))
    text = said(renderer, mail("partially_completed", right="erasure", person={"statement": years}))
    assert text.count("Invoices:") == 1
    assert "2 records kept" in text
    assert "the first until 31 December 2029, the last until 31 December 2031" in text


def test_to_blacken_is_to_erase_in_an_erasure_and_to_leave_out_in_a_copy(renderer: MailRenderer) -> None:
    redacted = StatementItem(system="support", category="support_conversations", did="redacted", count=1)
    erased = said(
        renderer, mail("partially_completed", right="erasure", person={"statement": (KEPT_INVOICES, redacted)})
    )
    assert "your copy" not in erased
    assert erased.index("WHAT WE DID") < erased.index("with your words and your name taken out")
    copied = said(renderer, mail("partially_completed", link=LINK, person={"statement": (DISCLOSED, redacted)}))
    assert "in your copy, with parts blacked out" in copied


def test_what_is_kept_without_a_date_names_the_rule(renderer: MailRenderer) -> None:
    item = StatementItem(system="payments", category="charges", did="retained", count=2)
    text = words(
        part(parsed(renderer.letter(mail("partially_completed", person={"statement": (item,)}), NOW).content), "plain")
    )
    assert "Tax and accounting law obliges us" in text
    assert "Until: The end of the accounting period of each charge." in text


def test_a_ground_that_is_not_in_the_catalogue_is_still_named(renderer: MailRenderer) -> None:
    item = StatementItem(system="billing", category="invoices", did="retained", count=2, ground="house_rule")
    text = words(
        part(parsed(renderer.letter(mail("partially_completed", person={"statement": (item,)}), NOW).content), "plain")
    )
    assert "house_rule" in text


def test_words_new_to_us_are_no_reason_to_fail(renderer: MailRenderer) -> None:
    """Enums are open on the wire."""
    item = StatementItem(system="crm", category="leads", did="teleported", count=2)
    note = SystemNote(system="erp", state="dreaming", outcome="puzzled")
    sent = mail("completed", right="new_right", person={"statement": (item,), "systems": (note,)})
    text = words(part(parsed(renderer.letter(sent, NOW).content), "plain"))
    assert "Leads: 2 records dealt with" in text
    assert "something about your data" in text


def test_a_system_with_a_statement_is_not_named_as_empty(renderer: MailRenderer) -> None:
    finished = SystemNote(system="support", state="finished", outcome="completed")
    sent = mail("completed", right="erasure", person={"statement": (DELETED,), "systems": (finished, NOT_FOUND)})
    text = part(parsed(renderer.letter(sent, NOW).content), "plain")
    assert "- Support:" not in text
    assert "- Payments:" in text


def test_the_authority_follows_the_person(renderer: MailRenderer) -> None:
    for place, name in (("FR", "CNIL"), ("DE-BY", "Bayerisches"), ("IT", "Berliner"), (None, "Berliner")):
        text = part(parsed(renderer.letter(mail("refused", jurisdiction=place), NOW).content), "plain")
        assert name in text
        assert ("The one where you live is" in words(text)) == (place in {"FR", "DE-BY"})


@pytest.mark.parametrize("language", ["de-AT", "EN", "xx", "en-GB"])
def test_a_language_without_words_falls_back_to_the_controllers(renderer: MailRenderer, language: str) -> None:
    message = parsed(renderer.letter(mail("acknowledged", person={"language": language}), NOW).content)
    assert message["Content-Language"] == "en"


@pytest.mark.parametrize(
    "address",
    [
        None,
        "",
        "ana",
        "ana@",
        "@example.com",
        "ana@example.com\r\nBcc: x@example.com",
        "ana@example.com, eve@example.com",
        "ana@exa mple.com",
        "<ana@example.com>",
        "ana@example.com\x00",
        "ana@" + "a" * 64 + ".example",
        "ana@example..com",
    ],
)
def test_an_address_that_is_none_is_refused_without_being_quoted(renderer: MailRenderer, address: str | None) -> None:
    with pytest.raises(AddressError) as refused:
        renderer.letter(mail("acknowledged", person={"email": address}), NOW)
    assert not address or address not in str(refused.value)


def test_a_domain_in_letters_of_its_own_travels_in_ascii(renderer: MailRenderer) -> None:
    sent = mail("acknowledged", person={"email": "ana@müller.example"})
    assert renderer.letter(sent, NOW).recipient == "ana@xn--mller-kva.example"
    assert parsed(renderer.letter(sent, NOW).content)["To"] == "ana@xn--mller-kva.example"


@pytest.mark.parametrize("value", ["a\r\nBcc: b", "a\nb", "a\rb", "a\x00b", "a\u2028b", "a" * 901])
def test_no_header_value_breaks_out_of_its_line(value: str) -> None:
    with pytest.raises(UnsafeHeaderError, match="Subject") as refused:
        header("Subject", value)
    assert value not in str(refused.value)


@given(st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=200))
def test_a_header_in_any_script_comes_back_as_it_was(value: str) -> None:
    raw = header("Subject", value)
    assert raw.isascii()
    assert raw.count(b"\r\n") == len(raw.replace(b"\r\n ", b"").split(b"\r\n")) - 1 + raw.count(b"\r\n ")
    assert email.message_from_bytes(raw + b"\r\n", policy=email.policy.default)["Subject"] == value


@given(
    st.lists(st.text(st.characters(categories=("L", "N")), min_size=1, max_size=90), min_size=1),
    st.sampled_from(["", "  "]),
)
def test_filling_keeps_every_word_whole_and_lines_short(given_words: list[str], indent: str) -> None:
    filled = fill(" ".join(given_words), indent)
    assert filled.split() == given_words
    for line in filled.split("\n"):
        assert len(line) <= 72 or len(line.split()) == 1
        assert line == line.rstrip()


def test_dates_are_the_controllers_days(renderer: MailRenderer) -> None:
    """23:30 UTC on 1 March is 2 March in Berlin."""
    sent = mail("acknowledged", received_at=datetime(2026, 3, 1, 23, 30, tzinfo=UTC))
    assert "Received: 2 March 2026" in part(parsed(renderer.letter(sent, NOW).content), "plain")
