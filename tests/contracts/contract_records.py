"""A right record, and how to spoil it: what the tests of bad input share."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from habeas.contracts import ContractError, Place
from habeas.contracts.catalogue import read
from habeas.contracts.cloudevents import decode
from habeas.contracts.documents.examples import Example, example_keyring, examples, headers_of
from habeas.contracts.documents.vectors import REQUEST
from habeas.contracts.result import TaskFinished
from habeas.contracts.submission import RequestSubmitted

Headers = list[tuple[str, bytes | None]]

KEY = str(REQUEST).encode()
EXAMPLES = {example.model: example for example in examples()}
SUBMITTED, FINISHED = EXAMPLES[RequestSubmitted], EXAMPLES[TaskFinished]
VALUE = json.dumps(SUBMITTED.body).encode()
SECRET = "Ada Lovelace <ada@secret.example>"


def headers(example: Example = SUBMITTED, **changed: bytes | str | None) -> Headers:
    """The example's headers with some changed (`content_type` for the one with a hyphen)."""
    found: dict[str, Any] = {name: value.encode() for name, value in headers_of(example).items()}
    for name, value in changed.items():
        found[name.replace("content_type", "content-type")] = value.encode() if isinstance(value, str) else value
    return list(found.items())


def without(name: str) -> Headers:
    return [(found, value) for found, value in headers() if found != name]


def refusal(do: Callable[[], object]) -> ContractError:
    with pytest.raises(ContractError) as refused:
        do()
    return refused.value


def submitted(value: bytes) -> RequestSubmitted:
    return read(decode(KEY, value, headers()), RequestSubmitted)


RING = example_keyring()
HOME = Place("web", RequestSubmitted.TYPE, REQUEST)
