"""The bodies that the processor's API takes."""

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Category = Literal["payment_customer", "charges", "fraud_signals"]
Text = Annotated[str, Field(min_length=1, max_length=200)]


class _Wish(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Change(_Wish):
    """What is left out stays as it is."""

    name: Text | None = Field(default=None, repr=False)
    email: Text | None = Field(default=None, repr=False)


class Charge(_Wish):
    cents: Annotated[int, Field(gt=0)]
    invoice: Text


class Limit(_Wish):
    category: Category
    purpose: Text
    """`*` for every one."""
    kind: Literal["restricted", "objected", "withdrawn"]


class Limits(_Wish):
    limits: tuple[Limit, ...]


class Hold(_Wish):
    categories: tuple[Category, ...]
    until: date


class Notice(_Wish):
    notice: Text
    what: Text
    category: Text


class Deletion(_Wish):
    today: date
    charges_before: datetime
    fraud_signals_before: datetime
