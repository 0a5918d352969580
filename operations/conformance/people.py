"""The people of a team's test data that the checks ask about."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError, field_validator

from habeas.contracts.base import Code, Line, PersonalModel
from habeas.contracts.errors import invalid
from habeas.contracts.submission import Correction
from operations.errors import UsageError

Identities = Annotated[dict[Code, Line], Field(min_length=1)]


class Person(PersonalModel):
    """Somebody the system holds data about."""

    identities: Identities
    """By type; at least one that the system `needs`."""
    may_be_destroyed: bool = False
    """Whether the checks may erase, restrict and correct this person's data."""
    corrections: Annotated[tuple[Correction, ...], Field(strict=False)] = ()
    """What a rectification may be tried with; without any it is asked for a field that there is not."""


class People(PersonalModel):
    people: Annotated[tuple[Person, ...], Field(min_length=1, strict=False)]
    stranger: Identities
    """Somebody the system has never heard of."""

    @field_validator("people")
    @classmethod
    def _each_once(cls, people: tuple[Person, ...]) -> tuple[Person, ...]:
        values = [value for person in people for value in person.identities.values()]
        if len(values) != len(set(values)):
            raise ValueError("two people share an identity")
        return people

    @property
    def lasting(self) -> Sequence[Person]:
        return [person for person in self.people if not person.may_be_destroyed]

    @property
    def destroyable(self) -> Sequence[Person]:
        return [person for person in self.people if person.may_be_destroyed]


def read_people(file: Path) -> People:
    """The people in a JSON file. Raises UsageError, which names members and no values."""
    try:
        return People.model_validate_json(file.read_bytes())
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.") from None
    except ValidationError as error:
        finding = invalid(error, "/")
        where = finding.pointer.removeprefix("/") or "the document"
    raise UsageError(f"{file}: {where} is not as it should be; see docs/teams.md for the form of this file.")


_CORRECTED = {
    "billing": ("account", "organisation", "Conformance Works {} GmbH"),
    "support": ("support_conversations", "name", "Conformance Tester {}"),
    "analytics": ("marketing_preference", "email", "conformance.{}@example.org"),
    "payments": ("payment_customer", "name", "Conformance Tester {}"),
}
"""Category, field and new value that each of our systems can be tried with."""


def sample_people(system: str, needs: frozenset[str]) -> People | None:
    """People of the demonstration's data who have something in each category; None for a system it does not know."""
    from operations.programs import SYSTEMS  # noqa: PLC0415 - the sample takes time that `habeas --help` need not
    from systems import sample  # noqa: PLC0415

    if system not in SYSTEMS:
        return None
    # Each has a note, a consent and a fraud signal (see systems.sample); the 94th is the documentation's example.
    numbers = [number for number in range(34, sample.PEOPLE, 30) if number % 100 != 14 and number != 94]
    known = [sample.person(number) for number in numbers]
    category, field, value = _CORRECTED[system]
    people = [
        Person(
            identities={
                name: value
                for name, value in (
                    ("email", each.email),
                    ("account_id", each.account_id),
                    ("payment_customer_id", each.payment_customer_id),
                )
                if name in needs
            },
            may_be_destroyed=index > 0,
            corrections=(Correction(category=category, field=field, value=value.format(each.number)),),
        )
        for index, each in enumerate(known)
    ]
    strangers = {"email": "stranger@example.net", "account_id": "acc-999999", "payment_customer_id": "cus_none"}
    return People(people=tuple(people), stranger={name: strangers[name] for name in strangers if name in needs})
