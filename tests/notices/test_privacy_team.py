"""What the privacy team reads: one sentence on why, and commands that can be run as they stand."""

import re
import shlex
from functools import cache
from itertools import pairwise
from typing import Any, Final

import pytest
from typer import Typer
from typer.core import TyperGroup
from typer.main import get_command

from habeas.contracts.status import StatusReason
from operations.commands import decide
from services.notifier.domain import Mail
from services.notifier.mails import MailRenderer
from shared.events import SystemNote
from shared.law.grounds import GROUNDS
from shared.registry import Registry
from tests.notices.reading import both_forms, parsed, part
from tests.notices.samples import NOW, mail

R: Final = "HB-7K3M-Q2P9"
FAILED: Final = (
    SystemNote(system="billing", state="finished", outcome="failed", reason="store_unreachable"),
    SystemNote(system="support", state="finished", outcome="completed"),
    SystemNote(system="payments", state="finished", outcome="unsupported"),
    SystemNote(system="analytics", state="asked"),
)
TRIAGE: Final = {
    "right_not_classified": ("not clear which right", f"habeas classify {R} --right RIGHT --reason read_by_person"),
    "right_not_automated": ("people carry out", f"habeas refuse {R} --ground unfounded_or_excessive"),
    "regulation_unknown": ("No law is configured", f"habeas classify {R} --right erasure --regulation eu-gdpr"),
    "acts_for_another": (
        "acts for the person",
        f"habeas classify {R} --right erasure --authorised --revision 1 --reason authority_checked",
        f"habeas refuse {R} --ground identity_not_established",
    ),
    "child_reported": (
        "Nobody asks the child",
        f"habeas classify {R} --right erasure --authorised --revision 1 --reason child_reported",
    ),
    "scope_unknown": ("that the registry does not know", f"habeas status {R}"),
    "scope_limited": ("limited to a period or to purposes", f"habeas status {R}"),
    "corrections_missing": ("asks for a correction", "Ask the person through the portal", f"habeas classify {R}"),
    "of_tomorrow": ("is not clear", f"habeas classify {R}"),
}
REVIEW: Final = {
    "system_failed": (
        "A system could not do its part",
        f"habeas retry {R} billing",
        f"habeas retry {R} payments",
        f"habeas release {R}",
    ),
    "notice_bounced": ("could not be delivered", "Reach the requester another way"),
    "no_address": ("no address", "Reach the requester another way"),
    "objection_to_weigh": ("a person must weigh it", f"habeas weigh {R} --uphold", f"habeas weigh {R} --override"),
    "lifting_not_told": ("has to be told before", f"habeas lift {R}"),
    "predecessor_missing": ("comes after another request", f"habeas release {R}"),
    "of_tomorrow": ("needs a person",),
}


@pytest.fixture(scope="module")
def renderer(registry: Registry) -> MailRenderer:
    return MailRenderer(registry)


def told(notice: str, code: str) -> Mail:
    right = "unclassified" if code == "right_not_classified" else "erasure"
    person = {"email": None, "name": None, "systems": FAILED if notice == "dpo_review" else ()}
    return mail(notice, right=right, reason=StatusReason(code=code), person=person)


CASES: Final = [("dpo_triage", code) for code in TRIAGE] + [("dpo_review", code) for code in REVIEW]


@cache
def _orders() -> dict[str, Any]:
    """The commands of `habeas` that decide about a request."""
    app = Typer()
    decide.register(app)
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    return dict(group.commands)


def commands(text: str) -> list[list[str]]:
    """As a shell reads them when they are pasted."""
    joined = re.sub(r" \\\n\s*", " ", "\n".join(text.splitlines()))
    return [shlex.split(line) for line in joined.splitlines() if line.startswith("    habeas ")]


@pytest.mark.parametrize(("notice", "code"), CASES)
def test_each_reason_has_its_sentence_and_its_commands(renderer: MailRenderer, notice: str, code: str) -> None:
    sent = told(notice, code)
    text = part(parsed(renderer.letter(sent, NOW).content), "plain")
    _, page = both_forms(renderer, sent)
    for phrase in ("2 April 2026", f"habeas status {R}", *(TRIAGE if notice == "dpo_triage" else REVIEW)[code]):
        assert phrase in page
        if phrase.startswith("habeas"):
            begun = shlex.split(phrase)
            assert any(command[: len(begun)] == begun for command in commands(text))
        else:
            assert phrase in " ".join(text.split())
    assert code in page
    assert max(map(len, text.splitlines())) <= 72


@pytest.mark.parametrize(("notice", "code"), CASES)
def test_no_command_names_what_does_not_exist(renderer: MailRenderer, notice: str, code: str) -> None:
    given = commands(part(parsed(renderer.letter(told(notice, code), NOW).content), "plain"))
    assert given[0] == ["habeas", "status", R]
    assert len({tuple(command) for command in given}) == len(given)
    for _, verb, reference, *options in given:
        assert reference == R
        assert "SYSTEM" not in options
        assert dict(pairwise(options)).get("--ground", "nothing_held") in GROUNDS
        if verb != "status":
            filled = [reference, *("access" if option == "RIGHT" else option for option in options)]
            _orders()[verb].make_context(verb, filled)  # raises where `habeas` would not take it


def test_rights_to_choose_from_are_named_where_a_command_leaves_it_open(renderer: MailRenderer) -> None:
    for code, chosen in (("right_not_classified", True), ("acts_for_another", False)):
        text, _ = both_forms(renderer, told("dpo_triage", code))
        assert ("RIGHT is one of access, portability" in text) == chosen


def test_a_failure_without_a_named_system_leaves_it_open(renderer: MailRenderer) -> None:
    text, _ = both_forms(renderer, mail("dpo_review", reason=StatusReason(code="system_failed")))
    assert f"habeas retry {R} SYSTEM" in text
