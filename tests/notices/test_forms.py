"""A letter from its form says what the same letter says that was written for one person alone."""

import email
import email.policy
import quopri
from email.message import EmailMessage
from functools import cache
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markupsafe import escape

from services.notifier.domain import Mail
from services.notifier.mails import MailRenderer, render
from services.notifier.mails.form import Blanks, Encoded, fill, fill_later, written
from shared.events import Audience, Notice, StatementItem
from shared.registry import load_registry
from tests.notices.reading import parsed, part
from tests.notices.samples import LINK, NOW, ROOT, mail

NAMES = st.one_of(
    st.none(),
    st.text(max_size=90),
    st.sampled_from(
        ["Ana Müller", "李雷", "O'Neil & Sons", "=?utf-8?q?x?=", ".", "a=20", "From me", "\x010\x02", "x " * 39]
    ),
)
REFERENCES = st.one_of(
    st.from_regex(r"HB-[0-9A-Z]{4}-[0-9A-Z]{4}", fullmatch=True),
    st.sampled_from(['"><script>', "R" * 300, "<&>'", "--=_", "Ü", "\x011\x02"]).filter(str.isprintable),
)
ITEMS = st.builds(
    StatementItem,
    system=st.sampled_from(["billing", "support", "elsewhere"]),
    category=st.sampled_from(["invoices", "support_conversations", "odd_ones"]),
    did=st.sampled_from(["deleted", "retained", "disclosed", "recipients_notified", "redacted"]),
    count=st.integers(0, 2_000_000),
    ground=st.sampled_from([None, "accounting_records", "house_rule"]),
    until=st.one_of(st.none(), st.dates()),
)


@cache
def renderer() -> MailRenderer:
    return MailRenderer(load_registry(ROOT / "registry" / "ale.toml"))


class Filled(Blanks):
    """Puts every value in its place at once."""

    def __init__(self, are_left: bool = False) -> None:
        super().__init__(are_left=False)


def content(raw: bytes) -> tuple[list[tuple[str, str]], str, str]:
    message = parsed(raw)
    headers = [(name, str(value)) for name, value in message.items()]
    return headers, part(message, "plain"), part(message, "html")


@settings(max_examples=50)
@given(
    kind=st.sampled_from([kind for kind in Notice if not kind.startswith("dpo_")]),
    name=NAMES,
    reference=REFERENCES,
    statement=st.lists(ITEMS, max_size=5).map(tuple),
    link=st.sampled_from([None, LINK, LINK + "&amp;<>"]),
    audience=st.sampled_from(Audience),
    right=st.sampled_from(["access", "erasure", "portability", "restriction", "new_right"]),
)
def test_a_form_says_what_a_letter_of_its_own_says(
    kind: str, reference: str, link: str | None, right: str, name: str | None, statement: Any, audience: Audience
) -> None:
    person = {"name": name, "statement": statement, "audience": audience}
    given_mail = mail(kind, reference=reference, link=link, right=right, person=person)
    by_form = renderer().letter(given_mail, NOW).content
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(render, "Blanks", Filled)
        assert content(by_form) == content(renderer().letter(given_mail, NOW).content)
    head, _, body = by_form.partition(b"\r\n\r\n")
    assert body.isascii()
    assert max(map(len, body.split(b"\r\n"))) <= 76
    assert b"\n" not in by_form.replace(b"\r\n", b"")
    assert b"\r" not in by_form.replace(b"\r\n", b"")
    assert head.count(b"\r\n") == len(parsed(by_form).items()) - 1 + head.count(b"\r\n ")


def test_one_form_serves_many_people_and_none_sees_another() -> None:
    made = MailRenderer(load_registry(ROOT / "registry" / "ale.toml"))
    people = [
        mail(
            "partially_completed",
            reference=f"HB-AAAA-{number:04}",
            right="erasure",
            person={
                "name": f"Person Number{number}",
                "email": f"p{number}@example.com",
                "statement": (StatementItem(system="billing", category="invoices", did="deleted", count=number + 2),),
            },
        )
        for number in range(50)
    ]
    letters = [content(made.letter(person, NOW).content) for person in people]
    assert made._form.cache_info().misses == 1
    for number, (headers, text, html) in enumerate(letters):
        for form in (text, html):
            assert f"Person Number{number}," in form
            assert f"HB-AAAA-{number:04}" in form
            assert f"{number + 2} records deleted" in form
        others = f"{headers}{text}{html}"
        assert not any(f"Number{other}," in others for other in range(50) if other != number)


@example("", "0" * 76, "0")
@example("0" * 75, "x", "")
@example("0" * 76, "ä" * 12 + "0000", "0")
@given(st.text(), st.text(st.characters(exclude_categories=("Cc", "Cs", "Z")), min_size=1), st.text())
def test_what_is_encoded_with_blanks_decodes_to_the_text_with_its_values(before: str, value: str, after: str) -> None:
    """Wherever the blank stands and whatever is put in it: lines of 76 bytes at most, and nothing but ASCII."""
    before, after = ("".join(char for char in text if char > "\x05") for text in (before, after))
    blanks = Blanks()
    encoded = Encoded(f"{before}{blanks(value)}{after}").with_values(blanks.values)
    assert max(map(len, encoded.split(b"\r\n"))) <= 76
    assert encoded.isascii()
    wanted = "\r\n".join((before + value + after).splitlines())
    assert quopri.decodestring(encoded).decode().removesuffix("\r\n") == wanted


@given(st.lists(st.text(st.characters(categories=("L", "N", "P")), min_size=1, max_size=80), min_size=1), st.text())
def test_a_paragraph_with_a_blank_is_filled_when_the_blank_is(before: list[str], value: str) -> None:
    blanks = Blanks()
    marked = f"{' '.join(before)}: {blanks(value)}."
    filled = Encoded(fill_later(marked, "  ")).with_values(blanks.values)
    assert quopri.decodestring(filled).decode().split() == written(marked, blanks.values).split()
    assert (
        quopri.decodestring(filled).decode().replace("\r\n", "\n") == fill(f"{' '.join(before)}: {value}.", "  ") + "\n"
    )


def test_values_are_escaped_for_the_text_around_them() -> None:
    blanks = Blanks()
    mark = blanks('"><script>')
    form = Encoded(f'<a href="{mark}">', escape)
    assert b"<script" not in form.with_values(blanks.values)


def test_a_mail_to_a_mailbox_in_letters_of_its_own_is_a_message_in_utf8() -> None:
    """RFC 6532: such an address stands in the header as it is."""
    raw = renderer().letter(mail("acknowledged", person={"email": "jürgen@example.com"}), NOW).content
    message = email.message_from_bytes(raw, policy=email.policy.SMTPUTF8)
    assert isinstance(message, EmailMessage)
    assert "jürgen@example.com" in raw.partition(b"\r\n\r\n")[0].decode()


def test_the_privacy_teams_letters_fill_no_place_among_the_forms() -> None:
    made = MailRenderer(load_registry(ROOT / "registry" / "ale.toml"))
    sent: Mail = mail("dpo_triage")
    assert made.letter(sent, NOW).content == renderer().letter(sent, NOW).content
    assert made._form.cache_info().currsize == 0
