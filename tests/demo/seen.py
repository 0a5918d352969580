"""What a run observes when everything comes out as it should, for tests that then spoil one thing."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable
from pathlib import Path
from uuid import UUID, uuid5

from habeas.contracts.status import Due, StatusChanged, SystemStatus
from operations.demo import people, scenario
from operations.demo.checks import Letter, Observed
from operations.demo.mailbox import Mail
from operations.demo.scenario import ACCESS, ASKS, FIRST, LATER, PORTABILITY, RECTIFICATION, Ask

TODAY = dt.date(2026, 11, 23)
NOW = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)
_IDS = UUID("6f6f0f6e-5c0e-5a55-9e0b-2a1f0d6b7c12")


def status(ask: Ask, **members: object) -> StatusChanged:
    """`ask` as it should end."""
    return StatusChanged(
        **{
            "request_id": uuid5(_IDS, ask.key),
            "reference": "HB-ZT60-EDET",
            "version": 3,
            "state": "closed",
            "outcome": str(ask.outcome),
            "right": str(ask.right),
            "regulation": "eu-gdpr",
            "received_at": NOW,
            "since": NOW,
            "due": Due(at=NOW, on=dt.date(2026, 12, 23), rule="one month", original_at=NOW),
            "systems": tuple(_system(name, end) for name, end in ask.systems.items()),
            **members,
        }
    )


def _system(name: str, end: str) -> SystemStatus:
    if end == "excluded":
        return SystemStatus(system=name, state="excluded", reason="identifier_not_found")
    return SystemStatus(system=name, state="finished", outcome=str(end))


def mail(ask: Ask, notice: str, text: str = "", to: str | None = None) -> Mail:
    """A mail about `ask`, to who asked."""
    to = to or ask.reporter or ask.identity[1]
    if ask.key == RECTIFICATION:
        text = f"{text} We have told {people.RECIPIENT}."
    return Mail(Path("1.eml"), uuid5(_IDS, ask.key), notice, "Your request", None, to, text)


def copy_of(parts: dict[str, Iterable[str]], origin: str = "provided") -> dict[str, bytes]:
    """A copy that holds these strings by category."""
    categories = [
        {"category": category, "records": [{"origin": origin, "data": {"value": string}} for string in strings]}
        for category, strings in parts.items()
    ]
    strings = [string for part in parts.values() for string in part]
    return {
        "index.html": "<br>".join(strings).replace("'", "&#39;").encode(),
        "data.json": json.dumps({"categories": categories}, ensure_ascii=False).encode(),
    }


def observed() -> Observed:
    kept = people.kept(people.LEAVER, TODAY)
    return Observed(
        statuses={ask.key: status(ask) for ask in ASKS},
        passed={ask.key: ("received", *ask.passes, "closed") for ask in ASKS},
        mails={ask.key: [mail(ask, notice) for notice in ask.notices] for ask in ASKS},
        stray_mails=0,
        copies={
            ACCESS: copy_of(dict(people.held(people.READER))),
            FIRST: copy_of(dict(people.held(people.BOTH))),
            PORTABILITY: copy_of(dict(people.provided_or_observed(people.MOVER))),
            LATER: copy_of({"invoices": kept, "marketing_preference": [people.LEAVER.account_id]}),
        },
        uses={
            (ask.key, moment, work): came
            for ask in ASKS
            for moment, uses in ask.uses.items()
            for work, came in uses.items()
        },
        told_recipient=True,
        letters=[Letter("not_json", "dsr.portal.web.submissions.v1", scenario.MALFORMED_VALUE)],
        rejected=["not_json"],
        killed=100,
        back=101,
        waiting=4,
        waited_for_analytics=True,
    )
