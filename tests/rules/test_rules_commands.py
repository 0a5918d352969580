"""`habeas deadline` and `habeas plan`, as a person or a script calls them."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from operations.commands.rules import register

ALE = Path(__file__).parents[2] / "registry" / "ale.toml"

app = typer.Typer()
register(app)


def habeas(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(app, arguments, env={"HABEAS_REGISTRY": None, "COLUMNS": "160", **environment})


def words(text: str) -> str:
    """Text without the frame and the line breaks that the terminal's width makes."""
    return " ".join(text.replace("│", " ").split())


def test_deadline_for_a_person() -> None:
    result = habeas("deadline", "--regulation", "eu-gdpr", "--received", "2026-03-03")
    assert result.exit_code == 0
    assert result.output.startswith("Due on Tuesday 2026-04-07, until the end of the day in Europe/Berlin")
    assert "Good Friday" in result.output
    assert "extension" not in result.output


def test_deadline_for_a_program() -> None:
    result = habeas("deadline", "--regulation", "eu-gdpr", "--received", "2026-03-02T23:30:00Z", "--extended", "--json")
    answer = json.loads(result.stdout)
    assert answer["due"].pop("rule").startswith("GDPR Art. 12(3)")
    assert answer == {
        "regulation": "eu-gdpr",
        "right": "access",
        "received_at": "2026-03-02T23:30:00Z",
        "identified_at": None,
        "pauses": [],
        "place": "DE-BE",
        "time_zone": "Europe/Berlin",
        "due": {
            "at": "2026-06-03T21:59:59Z",
            "on": "2026-06-03",
            "original_at": "2026-04-07T21:59:59Z",
            "extended": True,
        },
        "starts_on": "2026-03-03",
        "days_paused": 0,
        "alarm_at": "2026-06-03T21:59:59Z",
        "announce_by": "2026-04-07T21:59:59Z",
        "confirm_by": None,
        "clock_only": False,
        "sources": ["GDPR Art. 12(3); Reg. (EEC, Euratom) 1182/71 Art. 3"],
        "notes": [],
        "unverified": [],
    }


def test_an_extension_says_until_when_it_has_to_be_announced() -> None:
    result = habeas("deadline", "--regulation", "eu-gdpr", "--received", "2026-03-03", "--extended")
    assert "has to be announced by Tuesday 2026-04-07" in result.output


def test_a_claimed_pause_keeps_the_alarm() -> None:
    options = ("--pause", "2026-02-16..2026-02-20", "--pause", "2026-02-18..2026-02-24", "--identified", "2026-01-27")
    said = habeas("deadline", "--regulation", "eu-gdpr", "--received", "2026-01-26", *options).output
    assert said.startswith("Due on Monday 2026-03-09")  # 26 February and nine days: a Saturday
    assert "The alarm stays on Thursday 2026-02-26 (2026-02-26T22:59:59Z), the date without the pause" in said
    assert "paused 9 days for clarification and identity, a claim" in said
    assert "Pause: EDPB Guidelines 01/2022" in said
    assert "Clock only" not in said


def test_a_pause_for_a_program() -> None:
    options = ("--place", "GB-ENG", "--time-zone", "Europe/London", "--pause", "2026-03-05T10:00:00+01:00..2026-03-12")
    command = ("deadline", "--regulation", "uk-gdpr", "--received", "2026-03-02", "--identified", "2026-03-04")
    answer = json.loads(habeas(*command, *options, "--extended", "--json").stdout)
    assert answer["pauses"] == [{"from": "2026-03-05T09:00:00Z", "to": "2026-03-12T12:00:00Z"}]
    assert answer["identified_at"] == "2026-03-04T12:00:00Z"
    assert answer["due"].pop("rule")
    assert answer["due"] == {
        "at": "2026-06-11T22:59:59Z",
        "on": "2026-06-11",
        "original_at": "2026-04-07T22:59:59Z",
        "extended": True,
    }
    assert (answer["starts_on"], answer["days_paused"]) == ("2026-03-04", 7)
    assert (answer["alarm_at"], answer["announce_by"]) == ("2026-06-11T22:59:59Z", "2026-04-13T22:59:59Z")
    assert answer["clock_only"] is True
    assert answer["sources"] == ["UK GDPR Art. 12A (DUA Act 2025 s. 76); ICO", "UK GDPR Art. 12A (DUA Act 2025 s. 76)"]


def test_what_is_only_a_clock_and_what_is_from_memory_says_so() -> None:
    said = habeas("deadline", "--regulation", "fadp", "--received", "2026-03-02", "--place", "CH-ZH").output
    assert "Clock only: of fadp nothing else is known here" in said
    assert "Unverified, from memory of the text: Art. 18 of the Ordinance" in said
    assert "The law lets the answer be put off without saying by how long: the person is told the new date." in said


def test_california_wants_a_confirmation_and_never_rolls() -> None:
    said = habeas("deadline", "--regulation", "ccpa", "--received", "2026-03-04", "--place", "US-CA").output
    assert said.startswith("Due on Saturday 2026-04-18")
    assert "Receipt has to be confirmed to the person by Wednesday 2026-03-18" in said
    assert "Our policy is never later" in said


@pytest.mark.parametrize(
    ("options", "on"),
    [
        ((), "2026-03-17"),
        (("--place", "IE"), "2026-03-18"),
        (("--received", "2026-02-17T23:30:00Z"), "2026-03-18"),
        (("--received", "2026-02-17T23:30:00Z", "--time-zone", "Europe/Dublin"), "2026-03-17"),
    ],
)
def test_place_and_time_zone_of_the_deadline(options: tuple[str, ...], on: str) -> None:
    result = habeas("deadline", "--regulation", "eu-gdpr", "--received", "2026-02-17", "--json", *options)
    assert json.loads(result.stdout)["due"]["on"] == on


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        (("--regulation", "gdpr"), "--regulation: No regulation is called 'gdpr': write one of ccpa, eu-gdpr"),
        (("--received", "yesterday"), "--received: Write a date ('2026-03-02')"),
        (("--received", "2026-03-02T10:00"), "--received: Add an offset to the time: '2026-03-02T10:00Z'"),
        (("--place", "XX"), "--place: No public holidays are known for the place 'XX'"),
        (("--time-zone", "Bonn"), "--time-zone: 'Bonn' is no time zone"),
        (("--right", "opt_out"), "--right: eu-gdpr sets no period for opt_out"),
        (("--right", "forget"), "'forget' is not one of 'access'"),
        (("--pause", "2026-03-05"), "--pause: '2026-03-05' is no pause: write when it was asked and answered"),
        (("--pause", "2026-03-05.."), "--pause: Write a date ('2026-03-02')"),
        (("--pause", "2026-03-05..2026-03-04"), "--pause: A question asked on 2026-03-05 cannot be answered on"),
        (("--pause", "2026-03-01..2026-03-04"), "--pause: A question asked on 2026-03-01 cannot be about a request"),
        (("--identified", "soon"), "--identified: Write a date ('2026-03-02')"),
        (("--regulation", "ccpa", "--pause", "2026-03-03..2026-03-04"), "--pause: This clock does not pause for"),
        (("--regulation", "pipa", "--extended"), "--extended: PIPA Enforcement Decree Art. 41 sets no length"),
    ],
)
def test_a_wrong_deadline_option_is_a_usage_error(options: tuple[str, ...], advice: str) -> None:
    result = habeas("deadline", "--regulation", "eu-gdpr", "--received", "2026-03-02", *options)
    assert result.exit_code == 2
    assert advice in words(result.stderr)


def test_plan_for_a_person() -> None:
    result = habeas("plan", "--right", "erasure", "--regulation", "eu-gdpr")
    assert result.exit_code == 0
    said = words(result.output)
    for part in (
        "erase within 7 days",
        "- invoices: retain",
        "- account: delete, unless still_necessary",
        "keeps invoices: accounting_records (GDPR Art. 17(3)(b))",
        "waits for billing",
        "Nothing was sent.",
    ):
        assert part in said


def test_plan_says_who_is_not_asked_and_why() -> None:
    said = words(
        habeas("plan", "--right", "portability", "--regulation", "eu-gdpr", "--identities", "account_id").output
    )
    assert "needs email: no system that is asked can find it" in said
    assert "the right reaches nothing that it holds" in said
    assert "not_provided_by_person (GDPR Art. 20(1))" in said


def test_plan_for_a_program() -> None:
    options = ("--identities", "email,visitor_id", "--registry", str(ALE), "--json")
    answer = json.loads(habeas("plan", "--right", "erasure", "--regulation", "eu-gdpr", *options).stdout)
    assert answer["identities"] == ["email", "visitor_id"]
    assert answer["policy_version"] == "2025-02-10"
    states = {system["system"]: (system["state"], system["reason"]) for system in answer["systems"]}
    assert states == {
        "billing": ("asked", None),
        "support": ("asked", None),
        "analytics": ("waiting", "waiting_for_identifier"),
        "payments": ("waiting", "waiting_for_identifier"),
    }
    billing, payments = answer["systems"][0], answer["systems"][3]
    assert billing["action"] == "erase"
    assert billing["scope"][1] == {
        "category": "invoices",
        "purposes": ["billing", "legal_compliance"],
        "basis": "legal_obligation",
        "instruction": "retain",
    }
    assert billing["kept"] == [{"category": "invoices", "ground": "accounting_records"}]
    assert payments["waits_for"] == ["billing"]
    assert billing["due_at"] < payments["due_at"] < answer["due"]["at"]


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        (("--identities", "emial"), "--identities: No system can be asked by emial: write some of account_id"),
        (("--identities", ","), "--identities: No identity type is named"),
        (("--right", "unclassified"), "--right: eu-gdpr sets no period for unclassified"),
        (("--right", "automated_decision"), "--right: No plan can be made for automated_decision"),
        (("--regulation", "xx-law"), "--regulation: No regulation is called 'xx-law'"),
        (("--regulation", "ccpa"), "--regulation: Of ccpa only the clock is known here"),
        (("--regulation", "lgpd", "--right", "erasure"), "--regulation: Of lgpd only the clock is known here"),
    ],
)
def test_a_wrong_plan_option_is_a_usage_error(options: tuple[str, ...], advice: str) -> None:
    result = habeas("plan", "--right", "access", "--regulation", "eu-gdpr", *options)
    assert result.exit_code == 2
    assert advice in words(result.stderr)


def test_a_faulty_registry_is_a_failure_that_names_the_place(tmp_path: Path) -> None:
    file = tmp_path / "registry.toml"
    file.write_text(ALE.read_text(encoding="utf-8").replace("days = 7", "days = 0", 1), encoding="utf-8")
    result = habeas("plan", "--right", "access", "--regulation", "eu-gdpr", HABEAS_REGISTRY=str(file))
    assert result.exit_code == 1
    assert "systems.billing.days: write a whole number of days" in result.stderr
