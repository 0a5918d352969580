"""The answer's ZIP: what must be in it, what must not, and that the same facts give the same bytes."""

import csv
import io
import json
import re
import zipfile
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import escape

from habeas.contracts.result import SummaryItem
from services.collector.answer import AnswerWriter, Contribution, HeldRecord, held
from services.collector.answer.archive import archive
from services.collector.answer.table import to_csv
from tests.answers.made import ALL, BILLING, FACTS, SUPPORT, Page, files, page, record, registry, writer


def test_the_zip_holds_a_page_the_data_and_a_table_for_each_category() -> None:
    assert list(files()) == [
        "index.html",
        "data.json",
        "csv/account.csv",
        "csv/invoices.csv",
        "csv/support_conversations.csv",
    ]


def test_the_same_facts_give_the_same_bytes_in_whatever_order_they_came() -> None:
    shuffled = list(ALL)
    first = writer().assemble(FACTS, shuffled)
    for seed in range(5):
        Random(seed).shuffle(shuffled)
        assert AnswerWriter(registry()).assemble(FACTS, shuffled) == first


def test_the_page_shows_every_value_under_its_label() -> None:
    text = page().text
    for phrase in (
        "Invoice number INV-1",
        "Total Sum 119.00 Currency EUR",
        "Paid yes",
        "Lines Text Ale Team Text VAT",
        "Note –",
        "Your name Ana <Müller>",
        "Email ana@example.com",
        "Tags a, b",
        "Closed no",
        "Seats 5",
        "Opened 2025-03-01 09:12:00 UTC",
        "Person Ana <Müller>",
        "Asked on 2 March 2026",
        "Answered on 4 March 2026",
    ):
        assert phrase in text


def test_the_page_says_what_article_15_wants_said() -> None:
    text = page().text
    for phrase in (
        "What for Subscription and billing, Legal compliance",
        "a legal obligation (GDPR Art. 6(1)(c)); also a contract with you (GDPR Art. 6(1)(b))",
        "Paynor Payments Ltd. (payment processor, Ireland)",
        "Finanzamt für Körperschaften Berlin (tax authority, Germany)",
        "How long it is kept Until the accounting period ends",
        "Where it comes from you gave it to us; worked out from other data",
        "to correct your data, to delete it, or to restrict",
        "Bayerisches Landesamt für Datenschutzaufsicht",
        "made by automated means alone",
        "version 2025-02-10",
        "GDPR Art. 79",
    ):
        assert phrase in text


def test_a_transfer_out_of_the_eea_names_its_safeguard() -> None:
    visits = Contribution(
        "analytics", "finished", "completed", records=(record("visits", 1, "observed", ip="203.0.113.1"),)
    )
    text = page(FACTS, visits).text
    assert (
        "Pathlight Analytics Inc. (analytics provider, United States; protected by: Standard contractual clauses"
        in text
    )
    assert "recorded as you used the service: Pathlight Analytics Inc." in text


def test_what_also_shows_somebody_else_is_left_out_everywhere_and_named() -> None:
    for content in files().values():
        assert b"SECRET OF ANOTHER" not in content
    assert "1 record left out. Parts concern other people as well." in page().text
    (section,) = [
        item for item in json.loads(files()["data.json"])["categories"] if item["category"] == "support_conversations"
    ]
    assert section["left_out"] == [{"did": "withheld", "count": 1, "ground": "rights_of_others"}]
    assert [item["id"] for item in section["records"]] == ["support_conversations-1"]


@pytest.mark.parametrize(("stated", "named"), [(1, 1), (3, 3)])
def test_what_is_left_out_is_named_once_even_if_the_summary_names_it_too(stated: int, named: int) -> None:
    withheld = SummaryItem(category="support_conversations", did="withheld", count=stated, ground="rights_of_others")
    categories = json.loads(files(FACTS, replace(SUPPORT, summary=(withheld,)))["data.json"])["categories"]
    assert categories[0]["left_out"] == [{"did": "withheld", "count": named, "ground": "rights_of_others"}]


def test_a_category_of_which_all_is_left_out_is_still_named() -> None:
    only = Contribution(
        "support", "finished", "completed", records=(record("support_conversations", 2, third=True, a=1),)
    )
    assert "csv/support_conversations.csv" not in files(FACTS, only)
    assert "1 record left out" in page(FACTS, only).text


def test_where_we_looked_names_every_system_of_the_plan() -> None:
    nothing = Contribution("analytics", "finished", "nothing_held")
    text = page(FACTS, *ALL, nothing).text
    for phrase in (
        "Billing 3 records",
        "Support 1 record",
        "Analytics Nothing about you is held here.",
        "Payments None of the details",
    ):
        assert phrase in text


def test_data_json_is_the_data_exactly_as_it_is_held() -> None:
    data = json.loads(files()["data.json"])
    assert data["reference"] == "HB-7K3M-Q2P9"
    assert data["received_at"] == "2026-03-01T23:30:00Z"
    assert data["policy"]["version"] == "2025-02-10"
    held = {item["id"]: item["data"] for section in data["categories"] for item in section["records"]}
    assert held == {item.id: item.data for item in (*BILLING.records, SUPPORT.records[0])}
    invoices = next(item for item in data["categories"] if item["category"] == "invoices")
    assert invoices["processing"]["bases"] == ["legal_obligation", "contract"]
    assert invoices["labels"]["number"] == "Invoice number"


def test_every_link_of_the_page_leads_to_a_place_on_it() -> None:
    read = page()
    assert read.targets
    assert {target.removeprefix("#") for target in read.targets} <= set(read.ids)
    assert len(read.ids) == len(set(read.ids))


def test_the_page_runs_nothing_loads_nothing_and_forbids_both() -> None:
    html = files()["index.html"].decode()
    assert not {"script", "img", "link", "iframe", "object", "form"} & set(Page(html).tags)
    assert "default-src 'none'" in html
    assert "url(" not in html
    assert "@media print" in html
    assert 'name="viewport"' in html


LINE = st.text(st.characters(exclude_categories=("C", "Zl", "Zp")), min_size=1, max_size=20) | st.sampled_from(
    ["<script>alert(1)</script>", '"><img src=x>', "=1+1", ";=1"]
)
"""What the contract lets into identifiers, sources and names of files."""

NASTY = st.text(max_size=30) | st.sampled_from(
    ["<script>alert(1)</script>", '"><img src=x onerror=1>', "</style>", "&lt;", "{{ 7 * 7 }}"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | NASTY,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NASTY, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(NASTY, VALUES, max_size=5), LINE, LINE, NASTY)
def test_no_content_breaks_out_of_the_page(data: dict[str, Any], identifier: str, label: str, name: str) -> None:
    item = HeldRecord(id=identifier, category="account", origin="provided", source=label, data=data, files=(label,))
    hostile = Contribution(
        "billing", "finished", "completed", records=(item,), labels={f"account.{key}": label for key in data}
    )
    read = page(replace(FACTS, name=name), hostile)
    assert not {"script", "img"} & set(read.tags)
    assert json.loads(files(FACTS, hostile)["data.json"])["categories"][0]["records"][0]["data"] == data


@pytest.mark.parametrize("value", ["a\0b", "\0", "%s", "100 %", "a\0002025-03-01T09:12:00Z", "<b>\0</b>"])
def test_a_text_stays_in_its_place_whatever_it_holds(value: str) -> None:
    """Texts are escaped together and put into a form: neither what parts them nor what marks a hole may shift them."""
    item = record("account", 1, first="before", value=value, last="after", **{"100 % %s": "named"})
    html = files(FACTS, Contribution("billing", "finished", "completed", records=(item,)))["index.html"].decode()
    assert "<dt>First</dt><dd>before</dd><dt>Value</dt><dd>" in html
    assert "</dd><dt>Last</dt><dd>after</dd><dt>100 % %s</dt><dd>named</dd></dl>" in html
    held = html.partition("<dt>Value</dt><dd>")[2].partition("</dd>")[0]
    assert held.replace(" 09:12:00 UTC", "T09:12:00Z") == str(escape(value))


@pytest.mark.parametrize(
    ("instant", "shown"),
    [
        ("2025-03-01T09:12:00Z", "2025-03-01 09:12:00 UTC"),
        ("2025-03-01T09:12", "2025-03-01 09:12"),
        ("2025-03-01T09:12:00.5+01:00", "2025-03-01 09:12:00.5+01:00"),
        ("2025-03-01T09:12:00Z and later", "2025-03-01T09:12:00Z and later"),
        ("2025-03-01", "2025-03-01"),
    ],
)
def test_an_instant_is_shown_as_people_write_it_wherever_it_stands(instant: str, shown: str) -> None:
    item = record("account", 1, at=instant, next=instant, each=[instant, instant], within=[{"at": instant, "b": [[]]}])
    text = page(FACTS, Contribution("billing", "finished", "completed", records=(item,))).text
    assert f"At {shown} Next {shown} Each {shown}, {shown} Within At {shown} B –" in text


def test_records_with_different_members_have_their_own_terms() -> None:
    items = (
        record("account", 1, a=1),
        record("account", 2, b=None, a=2),
        record("account", 3),
        record("account", 4, a={}),
    )
    html = files(FACTS, Contribution("billing", "finished", "completed", records=items))["index.html"].decode()
    for terms in (
        "<dl><dt>A</dt><dd>1</dd></dl>",
        "<dl><dt>B</dt><dd>–</dd><dt>A</dt><dd>2</dd></dl>",
        "<dl></dl>",
        "<dl><dt>A</dt><dd><dl></dl></dd></dl>",
    ):
        assert f"</h4>{terms}</article>" in html


def test_a_system_or_category_the_registry_does_not_know_is_shown_all_the_same() -> None:
    old = Contribution("crm", "finished", "completed", records=(record("lead_notes", 1, text="x"),))
    assert "csv/crm-lead_notes.csv" in files(FACTS, old)
    assert "Lead notes" in page(FACTS, old).text


def test_depth_without_end_does_not_end_the_page() -> None:
    deep: Any = "bottom"
    for _ in range(200):
        deep = {"down": deep}
    assert "bottom" in page(FACTS, Contribution("billing", "finished", records=(record("account", 1, deep=deep),))).text


def rows(table: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(table.decode("utf-8-sig"), newline="")))


def test_a_table_has_every_member_of_any_record_under_its_label() -> None:
    table = rows(files()["csv/invoices.csv"])
    assert table[0] == ["ID", "Origin", "Source", "Invoice number", "total", "paid", "lines", "note", "Files"]
    assert table[1] == [
        "invoices-1",
        "derived",
        "",
        "INV-1",
        '{"amount":"119.00","currency":"EUR"}',
        "true",
        "",
        "",
        "",
    ]
    assert files()["csv/invoices.csv"].startswith(b"\xef\xbb\xbf")
    assert files()["csv/invoices.csv"].count(b"\r\n") == 3


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+49 30 1234", "'+49 30 1234"),
        ("-5", "'-5"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("  =1", "'  =1"),
        ("\t=1", "'\t'=1"),
        ("\n=1", "'\n'=1"),
        ("＝1", "'＝1"),
        ("a;=1", "a;'=1"),
        ("a\n=1", "a\n'=1"),
        ("a;\n=1", "a;'\n'=1"),
        ("a-b", "a-b"),
        ("ana@example.com", "ana@example.com"),
        ("1 = 1", "1 = 1"),
        (" ", " "),
        ("", ""),
        (-5, "-5"),
        (2.5, "2.5"),
    ],
)
def test_no_text_runs_as_a_formula_and_numbers_stay_numbers(text: Any, cell: str) -> None:
    table = rows(*to_csv([([record("account", 1, value=text)], {})]))
    assert table[1][3] == cell


@given(
    st.lists(st.dictionaries(st.text(min_size=1, max_size=9), st.text(max_size=30), max_size=4), max_size=4),
    LINE,
)
def test_no_cell_begins_as_a_formula_however_it_is_split(contents: list[dict[str, str]], label: str) -> None:
    labels = {member: label for content in contents for member in content}
    records = [
        HeldRecord(id=label, category="a", origin="provided", source=label, data=content, files=(label,))
        for content in contents
    ]
    (table,) = to_csv([(records, labels)])
    assert len({len(row) for row in rows(table)}) == 1
    for row in rows(table):
        for cell in row:
            for piece in re.split(r"[;,\t\r\n]", cell):
                assert piece.lstrip()[:1] not in {"=", "+", "-", "@", "＝", "＋", "－", "＠"}


@given(st.lists(st.lists(st.text(max_size=12), min_size=2, max_size=2), max_size=4))
def test_a_table_reads_as_what_went_in(contents: list[list[str]]) -> None:
    records = [
        record("account", number, **dict(zip("ab", texts, strict=True))) for number, texts in enumerate(contents)
    ]
    (table,) = to_csv([(records, {})])
    # An apostrophe may have been put before what a spreadsheet would run.
    read = [[cell.replace("'", "") for cell in row[3:-1]] for row in rows(table)[1:]]
    assert read == [[text.replace("'", "") for text in texts] for texts in contents]


@given(
    st.dictionaries(
        st.text(st.characters(exclude_characters="\x00/\\", exclude_categories=("Cs",)), min_size=1, max_size=20),
        st.binary(max_size=2000),
        max_size=5,
    )
)
def test_an_archive_opens_anywhere_and_gives_back_what_went_in(content: dict[str, bytes]) -> None:
    made = archive(content.items())
    assert made == archive(content.items())
    with zipfile.ZipFile(io.BytesIO(made)) as opened:
        assert opened.testzip() is None
        assert {info.filename: opened.read(info) for info in opened.infolist()} == content
        assert {info.date_time for info in opened.infolist()} <= {(1980, 1, 1, 0, 0, 0)}


def test_nothing_of_the_person_shows_when_facts_are_printed() -> None:
    shown = repr((FACTS, ALL))
    for secret in ("Müller", "ana@example.com", "INV-1", "Your name"):
        assert secret not in shown


def test_integers_of_any_size_are_written_as_they_are() -> None:
    huge = Contribution("billing", "finished", records=(record("account", 1, number=10**30, nested=[-(2**70)]),))
    data = json.loads(files(FACTS, huge)["data.json"])
    (found,) = data["categories"][0]["records"]
    assert (found["data"]["number"], found["data"]["nested"]) == (10**30, [-(2**70)])
    assert str(10**30) in files(FACTS, huge)["csv/account.csv"].decode()


def test_what_a_system_sent_is_read_with_all_its_digits_and_without_what_it_left_unsaid() -> None:
    sent = {"id": "a-1", "category": "account", "origin": "provided", "data": {"number": 10**30}}
    records, labels = held(json.dumps({"records": [sent], "labels": {"account.number": "Number"}}).encode())
    assert records == [HeldRecord(**sent)]
    assert labels == {"account.number": "Number"}
    assert held(b"{}") == ([], {})


def test_more_members_than_a_spreadsheet_shows_stand_together() -> None:
    """Records that each have names of their own: rows times columns would be megabytes."""
    records = [record("account", number, **{f"day_{number}": number}) for number in range(2_000)]
    (table,) = to_csv([(records, {"day_1": "Monday"})])
    assert len(table) < 200_000
    rows = list(csv.reader(io.StringIO(table.decode("utf-8-sig"))))
    assert rows[0] == ["ID", "Origin", "Source", "Data", "Files"]
    assert json.loads(rows[7][3]) == {"day_6": 6}
