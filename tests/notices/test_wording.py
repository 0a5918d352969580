"""Every word of the vocabulary has words in every language: nothing new can be forgotten."""

from enum import StrEnum
from pathlib import Path
from string import Formatter
from typing import Any, Final

import pytest

from habeas.contracts.vocabulary import Did, Right, SystemState, TaskOutcome
from services.collector.case import ReviewReason
from services.fanout.plan import Reason
from services.intake.domain import ReasonCode
from services.notifier.mails.privacy_team import RIGHTS
from services.notifier.mails.words import load_languages
from shared.events import Audience, Notice
from shared.law.grounds import GROUNDS

MAILS: Final = Path("services/notifier/mails")
LANGUAGES: Final = load_languages()
REFUSALS: Final = {reason for reason in ReasonCode if reason in GROUNDS}
TO_REQUESTERS: Final = [notice for notice in Notice if not notice.startswith("dpo_")]


def values(words: type[StrEnum] | set[Any] | frozenset[Any] | tuple[Any, ...]) -> set[str]:
    return {str(word) for word in words}


NEEDED: Final[dict[str, set[str]]] = {
    "subject": values(Notice) | {"nothing_covered", "bystander_acknowledged", "bystander_completed"},
    "asked": values(Right) - {"unclassified"},
    "asked_for_another": values(Right) - {"unclassified"},
    "right": values(Right),
    "next": values(RIGHTS),
    "done": values(RIGHTS),
    "leaves": values(RIGHTS),
    "taken_back": values(RIGHTS),
    "did": values(Did),
    "ended": values(TaskOutcome) | values(Reason),
    "state": values(SystemState),
    "first_look": values(ReasonCode) - values(REFUSALS),
    "triage": values(ReasonCode) - values(REFUSALS),
    "review": values(ReviewReason),
}


@pytest.mark.parametrize("table", NEEDED)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_word_has_its_phrase(language: str, table: str) -> None:
    assert not NEEDED[table] - set(LANGUAGES[language].tables[table])


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_may_be_new_to_us_has_a_phrase_too(language: str) -> None:
    tables = LANGUAGES[language].tables
    for name in set(NEEDED) - {"subject", "state"}:
        assert "other" in tables[name], name


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_notice_has_its_letter(language: str) -> None:
    letters = {file.stem for file in (MAILS / language).glob("[a-z]*.jinja")}
    assert letters == values(Notice) | {"bystander_acknowledged", "bystander_completed"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_reader_but_the_bystander_has_the_same_pronouns(language: str) -> None:
    readers = LANGUAGES[language].tables["audience"]
    assert set(readers) == values(Audience) - {Audience.BYSTANDER}
    assert len({frozenset(pronouns) for pronouns in readers.values()}) == 1


@pytest.mark.parametrize("language", LANGUAGES)
def test_all_languages_have_the_same_tables_and_holes(language: str) -> None:
    def holes(tables: Any, path: str = "") -> dict[str, frozenset[str]]:
        if isinstance(tables, str):
            return {path: frozenset(name for _, name, _, _ in Formatter().parse(tables) if name)}
        if isinstance(tables, dict):
            return {key: found for name, part in tables.items() for key, found in holes(part, f"{path}/{name}").items()}
        return {path: frozenset()}

    known = {"reference", "right", "system", "names", "count", "code", "contact", "version", "rule", "first", "date"}
    known |= {"day", "month", "year", *LANGUAGES["en"].tables["audience"]["person"]}
    found = holes(LANGUAGES[language].tables)
    assert set(found) == set(holes(LANGUAGES["en"].tables))
    for path, names in found.items():
        assert names <= known, path
