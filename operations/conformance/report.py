"""What came of a run: for people as a table, for programs as JSON, and as an exit code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from operations.conformance.check import Finding, State

_LOOK = {
    State.HOLDS: ("✓", "green"),
    State.FAILS: ("✗", "bold red"),
    State.UNSUPPORTED: ("–", "yellow"),
    State.NOT_TRIED: ("?", "yellow"),
    State.REPORTED: ("·", ""),
}


@dataclass(frozen=True, slots=True)
class Verdict:
    word: str
    """conforms, does not conform, or incomplete: nothing failed, but not all was tried."""
    sentence: str
    exit_code: int


def verdict(findings: Sequence[Finding], *, without_restart: bool = False) -> Verdict:
    """`without_restart` says that the checks that restart the participant were left out on purpose."""
    counts = Counter(finding.state for finding in findings)
    left_out = [finding for finding in findings if finding.state is State.NOT_TRIED]
    missing = [finding for finding in left_out if not (without_restart and finding.check.restarts)]
    said = f"{counts[State.HOLDS]} hold, {counts[State.FAILS]} fail"
    if counts[State.UNSUPPORTED]:
        said += f", {counts[State.UNSUPPORTED]} unsupported"
    if left_out:
        said += f", {len(left_out)} not tried"
    if counts[State.FAILS]:
        return Verdict("does not conform", said, 1)
    if missing:
        return Verdict("incomplete", said, 1)
    return Verdict("conforms", said + (" (restarts left out)" if left_out else ""), 0)


def table(findings: Sequence[Finding]) -> Table:
    found = Table("", "check", "what", "s", box=None, pad_edge=False)
    for finding in findings:
        sign, style = _LOOK[finding.state]
        what = Text(finding.check.sentence)
        if finding.detail:
            what.append(f"\n{finding.detail}", style=style or "dim")
        if finding.state is State.FAILS:
            what.append(f"\nsee: {finding.check.rests_on}", style="dim")
        found.add_row(Text(sign, style=style), finding.check.id, what, f"{finding.seconds:.1f}")
    return found


def line(finding: Finding) -> Text:
    """One finding where there is no terminal to redraw."""
    sign, style = _LOOK[finding.state]
    detail = f": {finding.detail}" if finding.detail else ""
    return Text(f"{sign} {finding.check.id}{detail}", style=style if finding.state is State.FAILS else "")


def as_json(
    system: str, findings: Sequence[Finding], measured: Mapping[str, float], came_to: Verdict
) -> dict[str, Any]:
    return {
        "system": system,
        "verdict": came_to.word,
        "counts": dict(Counter(str(finding.state) for finding in findings)),
        "measured": dict(measured),
        "checks": [
            {
                "id": finding.check.id,
                "sentence": finding.check.sentence,
                "rests_on": finding.check.rests_on,
                "state": str(finding.state),
                "detail": finding.detail,
                "seconds": finding.seconds,
            }
            for finding in findings
        ],
    }


def show(console: Console, system: str, findings: Sequence[Finding], came_to: Verdict) -> None:
    console.print(table(findings))
    console.print(f"\n{system} {came_to.word}: {came_to.sentence}.")
