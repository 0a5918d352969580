"""What came of it, told at the end. Here, and only here, the invented people's names are shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from habeas.contracts.dead_letter import DeadLetter
from habeas.contracts.result import SummaryItem
from habeas.contracts.status import StatusChanged
from operations.demo import scenario
from operations.demo.checks import Check, Observed
from operations.demo.copies import record_counts
from operations.demo.mailbox import Copy, Mail
from operations.demo.scenario import ASKS, LATER, Ask, Moment
from operations.demo.stage import shortest
from operations.programs import SYSTEMS

Summaries = Mapping[tuple[str, str], Sequence[Sequence[SummaryItem]]]
"""By ask and system, of each of its tasks in their order."""


@dataclass(frozen=True, slots=True)
class Results:
    """All that is told."""

    observed: Observed
    summaries: Summaries
    mails: Sequence[tuple[Ask | None, Mail]]
    copies: Mapping[str, Copy]
    letters: Sequence[DeadLetter]
    submissions: int
    answered: int
    seconds: Mapping[str, float] = field(default_factory=dict)
    """How long each part took, in the order of the parts."""


def tell(console: Console, results: Results, root: Path) -> None:
    """Print everything but the checks."""
    console.print("\nThe people below are invented: sample data of a company that does not exist.", style="italic")
    outcomes(console, results)
    _headed(console, "What each system says it did", _deeds(results))
    _headed(console, f"The mails, in {shortest(root / 'mail')}/", _mails(results))
    for key, copy in results.copies.items():
        title = f"The copy for “{scenario.BY_KEY[key].title}”, {shortest(copy.path)}"
        _headed(console, title, _files(copy))
        if key == LATER:
            console.print(_left(copy))
    _headed(console, "What became of the malformed submission", _refusal(results))


def outcomes(console: Console, results: Results) -> None:
    """Print what the requests came to."""
    _headed(console, "What came of each request", _outcomes(results))
    _headed(console, "What the systems' own work could use, and could not", _uses(results))


def verdict(console: Console, results: Results, checks: Sequence[Check], look: Callable[[str], str]) -> int:
    """Print the failed checks, if any, and the closing line. Returns the exit code.

    `look` says how to get to a place in the stack's folder.
    """
    failed = [check for check in checks if not check.passed]
    for check in failed:
        console.print(Text.assemble(("✖ failed: ", "bold red"), check.what, ". Found: ", check.found))
        console.print(f"  Look in {', '.join(map(look, check.look.split(', ')))}")
    passed = f"{len(checks) - len(failed)} of {len(checks)} checks passed"
    console.print(f"{'✖' if failed else '✔'} {passed}", style="bold red" if failed else "bold green")
    parts = ", ".join(f"{part} {seconds:.1f} s" for part, seconds in results.seconds.items())
    lost = results.submissions - results.answered
    nothing = "nothing was lost" if lost == 0 else f"{lost} lost"
    total = f"{sum(results.seconds.values()):.1f} s ({parts})"
    console.print(f"{nothing}: {results.submissions} submissions, {results.answered} answered, in {total}")
    return 1 if failed or lost else 0


def _headed(console: Console, title: str, table: Table) -> None:
    console.print()
    console.print(title, style="bold", highlight=False)
    console.print(table)


def _table(*columns: str) -> Table:
    return Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)


def _outcomes(results: Results) -> Table:
    table = _table("request", "reference", "person", "outcome", "due", "systems")
    for ask in ASKS:
        status = results.observed.statuses.get(ask.key)
        if status is None:
            table.add_row(ask.title, "", ask.name, "no status")
            continue
        outcome = _words(status.outcome or status.state)
        due = status.due.on.isoformat() if status.due else ""
        table.add_row(ask.title, status.reference, ask.name, outcome, due, _ends(status))
    told = ", ".join(results.observed.rejected or ("nobody told the portal",))
    table.add_row(scenario.MALFORMED_TITLE, "", "", f"rejected: {told}")
    return table


def _uses(results: Results) -> Table:
    table = _table("request", "use", "system", *Moment)
    for ask in ASKS:
        title = ask.title
        for work in dict.fromkeys(work for uses in ask.uses.values() for work in uses):
            came = [results.observed.uses.get((ask.key, moment, work), "") for moment in Moment]
            table.add_row(title, work, work.system, *map(_came, came))
            title = ""
    return table


def _came(word: str) -> Text:
    return Text(_words(word), "green" if word == scenario.DONE else "magenta")


def _ends(status: StatusChanged) -> str:
    asked = [each for each in status.systems if each.state != "excluded"]
    return f"{len(asked)} asked, {sum(each.state == 'finished' for each in asked)} answered" if asked else "none asked"


def _deeds(results: Results) -> Table:
    table = _table("request", "system", "category", "what was done")
    for ask in ASKS:
        title = ask.title
        for system in SYSTEMS:
            name = system
            for category, deed in _by_category(results.summaries.get((ask.key, system), ())):
                table.add_row(title, name, category, deed)
                title = name = ""
        table.add_section()
    return table


def _by_category(tasks: Sequence[Sequence[SummaryItem]]) -> Iterable[tuple[str, str]]:
    """A line for each category: what one task did with it after the other."""
    for category in dict.fromkeys(item.category for task in tasks for item in task):
        of_category = ([item for item in task if item.category == category] for task in tasks)
        yield category, "; ".join(_deed(items) for items in of_category if items)


def _deed(items: Sequence[SummaryItem]) -> str:
    """Records that are kept on the same ground until different years stand together."""
    deeds = []
    for did, ground in dict.fromkeys((item.did, item.ground) for item in items):
        same = [item for item in items if (item.did, item.ground) == (did, ground)]
        years = sorted({item.until.isoformat() for item in same if item.until})
        until = f" until {' to '.join(dict.fromkeys((years[0], years[-1])))}" if years else ""
        why = f" ({ground})" if ground else ""
        deeds.append(f"{sum(item.count for item in same)} {_words(did)}{until}{why}")
    return ", ".join(deeds)


def _mails(results: Results) -> Table:
    table = _table("file", "about", "to", "subject")
    for ask, mail in results.mails:
        table.add_row(mail.path.name, ask.title if ask else "?", _addressee(ask, mail), mail.subject)
    return table


def _addressee(ask: Ask | None, mail: Mail) -> str:
    if mail.notice.startswith("dpo_"):
        return "privacy team"
    return "who reported it" if ask and ask.reporter else "the person"


def _files(copy: Copy) -> Table:
    table = Table("file", box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("bytes", justify="right")
    for name, content in copy.files.items():
        table.add_row(name, f"{len(content):,}")
    return table


def _left(copy: Copy) -> Text:
    counts = record_counts(copy.files)
    found = ", ".join(f"{count} {category}" for category, count in counts.items()) or "nothing"
    return Text(f"It holds {found}: what the law wants kept, and nothing else that was there before.", style="green")


def _refusal(results: Results) -> Table:
    table = Table.grid(padding=(0, 2))
    for letter, observed in zip(results.letters, results.observed.letters, strict=True):
        place = f"{letter.topic}, partition {letter.partition}, offset {letter.offset}"
        table.add_row("dead letter", f"reason {letter.reason}, refused by {letter.refused_by}")
        table.add_row("", f"stood in {place}")
        text = "operators' key does not open it" if observed.value is None else observed.value.decode(errors="replace")
        table.add_row("", f"opened by operators: {text}")
    rejected = results.observed.rejected
    table.add_row("the portal got", "nothing" if rejected is None else f"submission.rejected: {', '.join(rejected)}")
    return table


def _words(code: str) -> str:
    return str(code).replace("_", " ")
