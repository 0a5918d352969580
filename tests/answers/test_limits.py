"""An answer that was limited as the person asked says so; one for another says whom it means."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from habeas.contracts.submission import Period
from habeas.contracts.vocabulary import Did, LegalBasis, Origin, TaskOutcome
from services.collector.answer import Contribution
from services.collector.answer.words import Words
from services.fanout.plan import Reason
from tests.answers.made import BILLING, FACTS, files, page

JANUARY = datetime(2024, 12, 31, 23, tzinfo=UTC)  # midnight in Berlin
APRIL = datetime(2025, 3, 31, 22, tzinfo=UTC)
SUPPORT_NOT_ASKED = Contribution("support", "excluded", reason="not_asked_for")


@pytest.mark.parametrize(
    ("period", "said"),
    [
        (Period(start=JANUARY, end=APRIL), "Time 1 January 2025 to 31 March 2025"),
        (Period(start=JANUARY), "Time 1 January 2025 and later"),
        (Period(end=APRIL), "Time up to 31 March 2025"),
    ],
)
def test_a_period_is_told_in_the_controllers_days(period: Period, said: str) -> None:
    for right in ("access", "portability"):
        text = page(replace(FACTS, right=right, period=period), BILLING).text
        assert said in text
        assert "of records with a date, those of that time" in text


def test_categories_are_told_by_their_titles() -> None:
    limited = replace(FACTS, categories=("invoices", "moon_data"))
    text = page(limited, BILLING, SUPPORT_NOT_ASKED).text
    assert "Limited to Invoices; Moon data" in text
    assert "this answer holds that part alone. You may ask for the rest at any time." in text
    assert "Support You did not ask about what is held here." in text


@pytest.mark.parametrize("right", ["access", "portability"])
def test_the_limits_stand_in_the_data(right: str) -> None:
    limited = replace(FACTS, right=right, categories=("invoices",), period=Period(start=JANUARY))
    told = json.loads(files(limited, BILLING)["data.json"])["limited_to"]
    assert told == {"categories": ["invoices"], "from": "2024-12-31T23:00:00Z", "before": None}
    assert json.loads(files(replace(FACTS, right=right), BILLING)["data.json"])["limited_to"] is None


@pytest.mark.parametrize("facts", [FACTS, replace(FACTS, period=Period())])
def test_an_answer_without_limits_speaks_of_none(facts: object) -> None:
    text = page(facts, BILLING).text  # type: ignore[arg-type]
    assert "Limited to" not in text
    assert "that part alone" not in text


def test_who_acts_for_another_is_told_whom_the_page_means() -> None:
    for right in ("access", "portability"):
        assert (
            "it means the person named above, for whom you act"
            in page(replace(FACTS, right=right, for_another=True), BILLING).text
        )
        assert "for whom you act" not in page(replace(FACTS, right=right), BILLING).text


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("basis", [*LegalBasis]),
        ("origin", [*Origin]),
        ("ended", [*TaskOutcome, *Reason, "other"]),
        ("left", [Did.WITHHELD, Did.REDACTED, Did.RETAINED, "other"]),
    ],
)
def test_every_word_of_the_vocabulary_has_its_phrase(table: str, words: list[str]) -> None:
    assert not {str(word) for word in words} - set(Words("en").tables[table])
