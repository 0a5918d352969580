"""A request may be named as it was heard on the phone."""

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operations.errors import UsageError
from operations.inspect.references import request_named
from services.intake.domain import reference

NUMBERS = st.integers(min_value=0, max_value=2**40 - 1)


@pytest.mark.parametrize(
    "text",
    ["HB-7K0M-Q1P9", "hb-7k0m-q1p9", " HB 7K0M Q1P9 ", "7k0mq1p9", "HB7KOMQIP9", "hb–7kom–qlp9", "7K0M-Q1P9"],
)
def test_careless_spellings(text: str) -> None:
    assert request_named(text) == "HB-7K0M-Q1P9"


@given(NUMBERS, st.booleans(), st.sampled_from(["", "-", " ", "_", "/"]), st.booleans())
def test_every_reference_is_understood(number: int, lower: bool, between: str, prefix: bool) -> None:
    wanted = reference(number)
    text = wanted.replace("0", "O").replace("1", "l").replace("-", between)
    text = text if prefix else text[2:]
    assert request_named(text.lower() if lower else text) == wanted


def test_a_reference_may_begin_with_what_looks_like_the_prefix() -> None:
    assert request_named("HB-HB00-0000") == "HB-HB00-0000"
    assert request_named("hb000000") == "HB-HB00-0000"


def test_ids() -> None:
    known = uuid4()
    assert request_named(f" {known} ") == known
    assert request_named(str(known).upper()) == known
    assert isinstance(request_named(str(UUID(int=0))), UUID)


@pytest.mark.parametrize(
    "text", ["", "HB-", "HB-7K3M-Q2P", "HB-7K3M-Q2P99", "HB-7K3M-Q2PU", "nonsense!", "{" + "0" * 36]
)
def test_what_names_no_request_is_told_so(text: str) -> None:
    with pytest.raises(UsageError, match="habeas requests"):
        request_named(text)
