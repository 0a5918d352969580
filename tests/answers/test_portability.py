"""The answer to a portability request: what GDPR Art. 20 wants in it, and nothing that it does not cover."""

import json
from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from habeas.contracts.result import SummaryItem
from services.collector.answer import Contribution, ground_for_leaving_out
from shared.events import LeftOutCategory
from tests.answers.made import ALL, FACTS, Page, files, page, record

PORTED = replace(FACTS, right="portability")
INVOICES = LeftOutCategory(category="invoices", ground="other_legal_basis")
VISITS = Contribution(
    "analytics",
    "finished",
    "completed",
    summary=(SummaryItem(category="visits", did="exported", count=1),),
    records=(
        record("visits", 1, "observed", page="/pricing", at="2025-06-01T10:00:00Z"),
        record("visits", 2, "derived", segment="DERIVED"),
        record("visits", 3, "third_party", bought="BOUGHT"),
        record("visits", 4, "of_tomorrow", unknown="UNKNOWN"),
    ),
    left_out=(LeftOutCategory(category="marketing_preference", ground="not_provided_by_person"),),
)
PAYMENTS = Contribution(
    "payments",
    "excluded",
    reason="right_does_not_reach",
    left_out=(
        LeftOutCategory(category="charges", ground="not_provided_by_person"),
        LeftOutCategory(category="fraud_signals", ground="other_legal_basis"),
    ),
)
GIVEN = (*ALL[:2], VISITS, PAYMENTS)


def test_portability_reaches_what_was_provided_or_observed_alone() -> None:
    """WP242 rev.01: not what was derived, nor what came from somebody else."""
    ported = page(PORTED)
    assert "INV-1" not in ported.text
    assert "ana@example.com" in ported.text
    assert "2 records left out. This right covers what you gave us" in ported.text
    assert "Your data, to take with you" in ported.text


@pytest.mark.parametrize("secret", [b"DERIVED", b"BOUGHT", b"UNKNOWN", b"INV-1", b"SECRET OF ANOTHER"])
def test_what_a_system_should_not_have_sent_is_in_no_file(secret: bytes) -> None:
    for content in files(PORTED, *GIVEN).values():
        assert secret not in content


def test_what_is_left_out_is_counted_with_its_ground() -> None:
    categories = {item["category"]: item for item in json.loads(files(PORTED, *GIVEN)["data.json"])["categories"]}
    left = {"did": "withheld", "count": 3, "ground": "not_provided_by_person"}
    assert categories["visits"]["left_out"] == [left]
    assert [item["id"] for item in categories["visits"]["records"]] == ["visits-1"]


def test_a_category_that_the_right_does_not_reach_is_left_out_should_a_system_send_it() -> None:
    sent = Contribution("billing", "finished", records=(record("invoices", 1, number="INV-9"),), left_out=(INVOICES,))
    found = files(PORTED, sent)
    assert all(b"INV-9" not in content for content in found.values())
    assert "1 record left out. The right you asked for does not cover" in page(PORTED, sent).text


@pytest.mark.parametrize(
    ("right", "given", "ground"),
    [
        ("portability", {"origin": "provided"}, None),
        ("portability", {"origin": "observed"}, None),
        ("portability", {"origin": "derived"}, "not_provided_by_person"),
        ("portability", {"origin": "third_party"}, "not_provided_by_person"),
        ("portability", {"origin": "provided", "third": True}, "rights_of_others"),
        ("portability", {"origin": "provided", "category": "invoices"}, "other_legal_basis"),
        ("access", {"origin": "derived"}, None),
        ("access", {"origin": "derived", "third": True}, "rights_of_others"),
    ],
)
def test_why_a_record_has_no_place_in_a_copy(right: str, given: dict[str, Any], ground: str | None) -> None:
    sent = record(given.get("category", "account"), 1, given["origin"], third=given.get("third", False), any="thing")
    assert ground_for_leaving_out(sent, right, {"invoices": "other_legal_basis"}) == ground


def test_the_page_says_what_it_is_what_it_covers_and_what_not() -> None:
    text = page(PORTED, *GIVEN).text
    for phrase in (
        "Portability (GDPR Art. 20)",
        "They hold what you gave us and what was recorded as you used Ale",
        "GDPR Art. 20(1)",
        "schema.json What the members of data.json mean",
        "How to give them to another service",
        "Where it is technically feasible, we send the data there for you (GDPR Art. 20(2))",
        "With us, nothing changes: the data stays",
        "recorded as you used the service. The basis is your consent (GDPR Art. 6(1)(a)).",
        "you gave it to us. The basis is a contract with you (GDPR Art. 6(1)(b)).",
        "What is not in here, and why",
        "Fraud signals. The right you asked for does not cover data that we process on this legal basis.",
        "Marketing preference: consent record, suppression list; Charges. This right covers what you gave us",
        "by asking for access (GDPR Art. 15)",
        "Payments The right that you used does not cover what is held here.",
        "Bayerisches Landesamt für Datenschutzaufsicht",
        "GDPR Art. 79",
    ):
        assert phrase in text


def test_a_portability_answer_has_nothing_that_article_15_alone_wants() -> None:
    text = page(PORTED, *GIVEN).text
    for phrase in ("What for", "Who receives it", "How long it is kept", "Paynor", "automated means"):
        assert phrase not in text
    data = json.loads(files(PORTED, *GIVEN)["data.json"])
    assert not {"policy", "authority"} & set(data)
    assert all("processing" not in item for item in data["categories"])


def test_the_files_are_a_page_the_data_its_schema_and_tables() -> None:
    assert list(files(PORTED, *GIVEN)) == [
        "index.html",
        "data.json",
        "schema.json",
        "csv/account.csv",
        "csv/support_conversations.csv",
        "csv/visits.csv",
    ]
    assert "schema.json" not in files(FACTS)


@pytest.mark.parametrize("given", [GIVEN, (PAYMENTS,), ALL])
def test_the_data_keeps_its_schema(given: tuple[Contribution, ...]) -> None:
    made = files(PORTED, *given)
    schema, data = json.loads(made["schema.json"]), json.loads(made["data.json"])
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(data, schema, format_checker=jsonschema.FormatChecker())
    assert data["$schema"] == "schema.json"


def test_the_schema_describes_every_member_that_there_is() -> None:
    """What the schema does not name would be undocumented."""
    made = files(PORTED, *GIVEN)
    schema, data = json.loads(made["schema.json"]), json.loads(made["data.json"])

    def undescribed(value: Any, rule: dict[str, Any], path: str) -> list[str]:
        if isinstance(value, list):
            return [name for item in value for name in undescribed(item, rule["items"], path)]
        if not isinstance(value, dict) or "properties" not in rule:
            return []
        unknown = [f"{path}/{name}" for name in value if name not in rule["properties"]]
        known = (name for name in value if name in rule["properties"])
        return unknown + [
            deep for name in known for deep in undescribed(value[name], rule["properties"][name], f"{path}/{name}")
        ]

    assert undescribed(data, schema, "") == []


def test_every_link_leads_to_a_place_on_the_page() -> None:
    read = Page(files(PORTED, *GIVEN)["index.html"].decode())
    assert read.open == []
    assert {target.removeprefix("#") for target in read.targets} <= set(read.ids)
    assert {"files", "giving", "beyond"} <= set(read.ids)
    assert len(read.ids) == len(set(read.ids))
