"""The people of the scenario have what the demo is to show."""

from __future__ import annotations

import datetime as dt

import pytest
from seen import TODAY

from operations.demo import scenario
from operations.demo.scenario import ASKS, LEAVER, READER, STRANGER
from systems import sample


@pytest.mark.parametrize("person", [READER, LEAVER], ids=["reader", "leaver"])
def test_they_have_plenty_of_data(person: sample.Person) -> None:
    assert all(scenario.held(person).values())
    assert len(person.invoices) > 1
    assert person.marketing_since is not None
    assert scenario.of_others(person)


def test_the_erased_person_has_no_contract_and_no_open_claim() -> None:
    assert LEAVER.contract_until is not None
    assert LEAVER.contract_until < TODAY
    assert not LEAVER.claim_open


def test_nobody_knows_the_stranger() -> None:
    assert STRANGER not in {person.email for person in sample.people()}


def test_nothing_is_both_kept_and_gone() -> None:
    gone = {string for strings in scenario.gone(LEAVER).values() for string in strings}
    assert gone.isdisjoint(scenario.kept(LEAVER, TODAY))


def test_invoices_are_kept_no_longer_than_tax_law_wants() -> None:
    assert scenario.kept(LEAVER, dt.date(2033, 12, 31))[1:] == (LEAVER.invoices[-1].number,)
    assert scenario.kept(LEAVER, dt.date(2034, 1, 1))[1:] == ()


def test_titles_fit_their_column() -> None:
    assert max(len(ask.title) for ask in ASKS) <= 17
