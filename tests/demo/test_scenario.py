"""The people of the scenario have what the demo is to show."""

from __future__ import annotations

import datetime as dt

import pytest
from seen import TODAY

from operations.demo import people
from operations.demo.people import BOTH, CHILD, DISPUTED, LEAVER, MOVER, OBJECTOR, PEOPLE, READER, STRANGER, TIRED
from operations.demo.scenario import ASKS, DONE, Moment
from systems import sample


@pytest.mark.parametrize("person", [READER, LEAVER], ids=["reader", "leaver"])
def test_they_have_plenty_of_data(person: sample.Person) -> None:
    assert all(people.held(person).values())
    assert len(person.invoices) > 1
    assert person.marketing_since is not None
    assert people.of_others(person)


@pytest.mark.parametrize("person", [LEAVER, BOTH, CHILD], ids=["leaver", "both", "child"])
def test_those_erased_have_no_contract_and_no_open_claim(person: sample.Person) -> None:
    assert person.contract_until is not None
    assert person.contract_until < TODAY
    assert not person.claim_open


def test_there_is_something_to_bill_while_a_restriction_is_to_keep_it_from_that() -> None:
    assert DISPUTED.contract_until is None


@pytest.mark.parametrize("person", [OBJECTOR, TIRED], ids=["objector", "tired"])
def test_who_wants_no_marketing_has_agreed_to_it(person: sample.Person) -> None:
    assert person.marketing_since is not None


def test_who_moves_on_has_what_others_provided() -> None:
    assert people.from_others(MOVER)


def test_everybody_asks_for_one_thing() -> None:
    """What one of them asks for would change what comes of another's."""
    assert len({person.number for person in PEOPLE}) == len(PEOPLE)


def test_nobody_knows_the_stranger() -> None:
    assert STRANGER not in {person.email for person in sample.people()}


def test_nothing_is_both_kept_and_gone() -> None:
    gone = {string for strings in people.gone(LEAVER).values() for string in strings}
    assert gone.isdisjoint(people.kept(LEAVER, TODAY))


def test_invoices_are_kept_no_longer_than_tax_law_wants() -> None:
    assert people.kept(LEAVER, dt.date(2033, 12, 31))[1:] == (LEAVER.invoices[-1].number,)
    assert people.kept(LEAVER, dt.date(2034, 1, 1))[1:] == ()


def test_titles_fit_their_column() -> None:
    assert max(len(ask.title) for ask in ASKS) <= 15


def test_a_submission_fits_in_a_line() -> None:
    """Of 80 columns, with the frame and the time before it."""
    lines = [f"web submits {ask.title} – {ask.wish}" for ask in ASKS]
    assert max(map(len, lines)) <= 76 - len("  12.3 s · ")


def test_whatever_is_refused_afterwards_was_done_before() -> None:
    for ask in ASKS:
        for work, came in ask.uses.get(Moment.AFTER, {}).items():
            assert came == DONE or ask.uses[Moment.BEFORE][work] == DONE, (ask.key, work)
