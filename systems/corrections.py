"""Corrections of one record (GDPR Art. 16): what its fields should say, or what a person has to look at first."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from habeas.participant import Correction, CorrectionOp, NeedsInput


@dataclass(frozen=True, slots=True)
class Field:
    """A field that may be corrected."""

    form: re.Pattern[str] = re.compile(r".+", re.DOTALL)
    may_be_empty: bool = False
    any_case: bool = False
    """Whether capitals make no difference, as in an e-mail address."""

    def same(self, one: str, other: str) -> bool:
        one, other = one.strip(), other.strip()
        return one.casefold() == other.casefold() if self.any_case else one == other


TEXT = Field()
EMAIL = Field(re.compile(r"[^@\s]{1,64}@[^@\s]{1,255}"), any_case=True)
COUNTRY = Field(re.compile(r"[A-Z]{2}"))


def corrected(
    record: Mapping[str, Any], corrections: Iterable[Correction], fields: Mapping[str, Field]
) -> dict[str, str]:
    """The record's new values by field; also those that it has already. Raises `NeedsInput`."""
    values: dict[str, str] = {}
    for correction in corrections:
        field = fields.get(correction.field)
        if field is None:
            raise NeedsInput("field_unknown")
        held = values.get(correction.field, record[correction.field])
        value = _value(correction, field)
        if not field.same(value, held):
            if correction.old is not None and not field.same(correction.old, held):
                raise NeedsInput("old_value_differs")
            if correction.op == CorrectionOp.COMPLETE and held:
                raise NeedsInput("already_filled")
        values[correction.field] = value
    return values


def _value(correction: Correction, field: Field) -> str:
    match correction.op:
        case CorrectionOp.SET | CorrectionOp.COMPLETE:
            value = (correction.value or "").strip()
            if not value:
                raise NeedsInput("value_missing")
            if not field.form.fullmatch(value):
                raise NeedsInput("value_invalid")
            return value
        case CorrectionOp.REMOVE:
            if not field.may_be_empty:
                raise NeedsInput("field_unknown")
            return ""
        case _:
            raise NeedsInput("op_unknown")
