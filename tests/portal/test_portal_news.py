"""One record of the status topic, whatever stands in it."""

from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from portal_counter import NOW, rejection, status
from structlog.testing import capture_logs

from habeas.contracts import CloudEvent
from habeas.contracts.catalogue import write
from habeas.contracts.cloudevents import encode
from habeas.portal import Purged
from habeas.portal.news import read_news

REQUEST = UUID("5b0f3d1e-8c1a-4f0e-9d57-2f6d1c7a9e10")
KEY = str(REQUEST).encode()


def record(key: bytes | None, value: bytes | None, headers: Any = ()) -> Any:
    return SimpleNamespace(topic="t", partition=1, offset=7, timestamp=0, key=key, value=value, headers=headers)


def record_of(event: CloudEvent) -> Any:
    return record(*encode(event))


def test_each_kind_is_read() -> None:
    changed, refused = status(REQUEST, 3), rejection(REQUEST)
    assert read_news(record_of(write(changed, subject=REQUEST, source="x", now=NOW))) == changed
    assert read_news(record_of(write(refused, subject=REQUEST, source="x", now=NOW))) == refused
    assert read_news(record(KEY, None)) == Purged(REQUEST)


def test_a_type_of_the_future_is_passed_over_in_silence() -> None:
    with capture_logs() as logs:
        assert read_news(record_of(CloudEvent(REQUEST, "x", "dsr.request.pondered.v1", NOW, REQUEST, b"{}"))) is None
    assert logs == []


@pytest.mark.parametrize(
    ("unreadable", "reason"),
    [
        (record(KEY, b"Ada"), "header_missing"),
        (record(KEY, b"Ada", [("content-type", None)]), "header_invalid"),
        (record(KEY, b"Ada", [("ce_type", b"\xff")]), "header_invalid"),
        (
            record_of(CloudEvent(REQUEST, "x", "dsr.request.status_changed.v1", NOW, REQUEST, b'"Ada"')),
            "member_invalid",
        ),
        (record_of(CloudEvent(REQUEST, "x", "dsr.request.status_changed.v1", NOW, REQUEST, b"Ada")), "not_json"),
        (record(b"Ada", None), "key_invalid"),
        (record(b"\xff", None), "key_invalid"),
        (record(None, None), "key_invalid"),
    ],
)
def test_what_cannot_be_read_is_logged_by_its_place_alone(unreadable: Any, reason: str) -> None:
    with capture_logs() as logs:
        assert read_news(unreadable) is None
    (entry,) = logs
    assert (entry["event"], entry["offset"], entry["reason"]) == ("record_unreadable", 7, reason)
    assert "Ada" not in str(entry)
