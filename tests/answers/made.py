"""Answers as they are made, and their pages as they are read."""

import io
import zipfile
from datetime import UTC, datetime
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from uuid import UUID

from habeas.contracts.result import SummaryItem
from services.collector.answer import AnswerFacts, AnswerWriter, Contribution, HeldRecord
from shared.registry import Registry, load_registry

ROOT = Path(__file__).parents[2]
FACTS = AnswerFacts(
    request_id=UUID("0d9c1c7e-6f1c-4b5e-9a57-0a7f4d6c2b11"),
    reference="HB-7K3M-Q2P9",
    right="access",
    regulation="eu-gdpr",
    jurisdiction="DE-BY",
    received_at=datetime(2026, 3, 1, 23, 30, tzinfo=UTC),
    answered_at=datetime(2026, 3, 4, 9, tzinfo=UTC),
    name="Ana <Müller>",
)
EXCLUDED = Contribution("payments", "excluded", reason="identifier_not_found")


@cache
def registry() -> Registry:
    return load_registry(ROOT / "registry" / "ale.toml")


@cache
def writer() -> AnswerWriter:
    return AnswerWriter(registry())


def record(category: str, number: int, origin: str = "provided", /, *, third: bool = False, **data: Any) -> HeldRecord:
    return HeldRecord(id=f"{category}-{number}", category=category, origin=origin, third_parties=third, data=data)


BILLING = Contribution(
    "billing",
    "finished",
    "completed",
    summary=(SummaryItem(category="invoices", did="disclosed", count=2),),
    records=(
        record("invoices", 1, "derived", number="INV-1", total={"amount": "119.00", "currency": "EUR"}, paid=True),
        record("invoices", 2, "derived", number="INV-2", lines=[{"text": "Ale Team"}, {"text": "VAT"}], note=None),
        record("account", 1, name="Ana <Müller>", email="ana@example.com", tags=["a", "b"], closed=False, seats=5),
    ),
    labels={"invoices.number": "Invoice number", "invoices.total.amount": "Sum", "account.name": "Your name"},
)
SUPPORT = Contribution(
    "support",
    "finished",
    "completed",
    records=(
        record("support_conversations", 1, subject="Log in", opened="2025-03-01T09:12:00Z"),
        record("support_conversations", 2, third=True, subject="SECRET OF ANOTHER"),
    ),
)
ALL = (BILLING, SUPPORT, EXCLUDED)


def files(facts: AnswerFacts = FACTS, *given_: Contribution) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(writer().assemble(facts, given_ or ALL))) as opened:
        assert opened.testzip() is None
        return {name: opened.read(name) for name in opened.namelist()}


class Page(HTMLParser):
    """The page as a reader has it: its text, its tags, whether every tag is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given_ = dict(attrs)
        assert not {name for name in given_ if name.startswith("on") or name in {"src", "action"}}
        self.ids += [value for name, value in attrs if name == "id" and value]
        if tag == "a":
            self.targets.append(given_["href"] or "")
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)


def page(facts: AnswerFacts = FACTS, *given_: Contribution) -> Page:
    read = Page(files(facts, *given_)["index.html"].decode())
    assert read.open == []
    return read
