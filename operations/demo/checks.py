"""Whether everything came out as it should: what was observed against the scenario. Pure."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import unescape

from habeas.contracts.status import StatusChanged
from operations.demo import scenario
from operations.demo.scenario import ACCESS, LATER, Ask


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold. `found` is what was there instead, `look` where to look; both without personal data."""

    what: str
    passed: bool
    found: str = ""
    look: str = ""


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter that operators have opened."""

    reason: str
    topic: str
    value: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Observed:
    """What came of the scenario, by the keys of its asks."""

    statuses: Mapping[str, StatusChanged]
    mails: Mapping[str, Sequence[str]]
    """The notices that each person got."""
    stray_mails: int
    """Mails that belong to none of the requests."""
    copies: Mapping[str, Mapping[str, bytes]] = field(repr=False)
    """The files of each fetched answer."""
    letters: Sequence[Letter]
    rejected: Sequence[str] | None
    """The error codes of the malformed submission's refusal, where there was one."""
    killed: int | None
    back: int | None
    """The collector's process ids, before and after."""
    waiting: int
    """Messages that waited for the collector while it was gone."""
    waited_for_analytics: bool
    """Whether requests stood open at `asked` while it was stopped, and nowhere else."""
    troubles: Sequence[str] = ()
    """What went wrong on the way, in words without personal data."""


def examine(seen: Observed, today: dt.date, asks: Sequence[Ask] = scenario.ASKS) -> list[Check]:
    """All checks, in the order in which a reader would make them."""
    return [
        *(Check("no step was waited for in vain", False, trouble, "log/") for trouble in seen.troubles),
        *(check for ask in asks for check in _request(seen, ask)),
        Check("no other mail was sent", seen.stray_mails == 0, f"{seen.stray_mails} more", "mail/"),
        *_refusal(seen),
        *_copies(seen, today),
        *_blows(seen),
    ]


def _request(seen: Observed, ask: Ask) -> Iterator[Check]:
    status = seen.statuses.get(ask.key)
    if status is None:
        yield Check(f"{ask.title}: has a status", False, "none", "log/intake.log, log/collector.log")
        return
    yield _same(f"{ask.title}: closed", "closed", status.state, "log/collector.log, log/notifier.log")
    yield _same(f"{ask.title}: its outcome", ask.outcome, status.outcome, "log/collector.log")
    ends = {each.system: each.outcome or each.state for each in status.systems}
    for system, end in ask.systems.items():
        yield _same(f"{ask.title}: how {system} ended", end, ends.get(system), f"log/{system}.log, log/fanout.log")
    yield Check(f"{ask.title}: has a due date", status.due is not None, "none", "log/intake.log")
    notices = sorted(seen.mails.get(ask.key, ()))
    yield _same(f"{ask.title}: each mail once", sorted(ask.notices), notices, "mail/, log/notifier.log")


def _refusal(seen: Observed) -> Iterator[Check]:
    look = "log/intake.log"
    yield _same("one dead letter", 1, len(seen.letters), look)
    for letter in seen.letters[:1]:
        yield _same("the dead letter's reason", scenario.MALFORMED_REASON, letter.reason, look)
        whole = letter.value == scenario.MALFORMED_VALUE
        yield Check("operators can open the dead letter and find the submission", whole, "not so", look)
    yield _same("the portal was told of the refusal", [scenario.MALFORMED_REASON], list(seen.rejected or ()), look)


def _copies(seen: Observed, today: dt.date) -> Iterator[Check]:
    reader, leaver = scenario.READER, scenario.LEAVER
    look = "answers/, log/collector.log"
    if copy := seen.copies.get(ACCESS):
        names = {"index.html", "data.json"}
        yield Check("the copy has a page to read and the data", names <= copy.keys(), str(sorted(copy)), look)
        for what, strings in scenario.held(reader).items():
            yield _counted(f"the copy holds their {what}", _lacking(copy, "data.json", strings), "missing", look)
            yield _counted(
                f"the copy's page shows their {what}", _lacking(copy, "index.html", strings), "missing", look
            )
        others = scenario.of_others(reader)
        yield _counted("the copy holds nothing of others", _present(copy, others), "to be seen", look)
    else:
        yield Check("the copy can be fetched", False, "it was not", "log/notifier.log, log/collector.log")
    if later := seen.copies.get(LATER):
        categories = set(record_counts(later))
        expected = scenario.LAWFULLY_KEPT
        yield _same("after the erasure only what is lawfully kept", sorted(expected), sorted(categories), look)
        kept = scenario.kept(leaver, today)
        yield _counted("after the erasure the kept invoices", _lacking(later, "data.json", kept), "missing", look)
        for what, strings in scenario.gone(leaver).items():
            yield _counted(f"after the erasure no {what}", _present(later, strings), "still there", look)
    else:
        yield Check("the later copy can be fetched", False, "it was not", "log/notifier.log, log/collector.log")


def _blows(seen: Observed) -> Iterator[Check]:
    other = seen.killed is not None and seen.back is not None and seen.killed != seen.back
    yield Check("the killed collector runs again", other, f"pids {seen.killed}, {seen.back}", "log/collector.log")
    yield Check("work waited for the killed collector", seen.waiting > 0, "none", "log/collector.log")
    waited = seen.waited_for_analytics
    yield Check("requests waited for the stopped analytics", waited, "they did not", "log/analytics.log")


def record_counts(copy: Mapping[str, bytes]) -> dict[str, int]:
    """How many records of each category a copy holds."""
    data = json.loads(copy.get("data.json", b"{}"))
    counts = {part["category"]: len(part.get("records", ())) for part in data.get("categories", ())}
    return {category: count for category, count in counts.items() if count}


def _same(what: str, expected: object, found: object, look: str) -> Check:
    return Check(what, expected == found, f"{_plain(found)}, expected {_plain(expected)}", look)


def _counted(what: str, number: int, how: str, look: str) -> Check:
    """A check that `number` is 0. The strings themselves are not told."""
    return Check(what, number == 0, f"{number} {how}", look)


def _lacking(copy: Mapping[str, bytes], file: str, strings: Iterable[str]) -> int:
    text = _text(file, copy.get(file, b""))
    return sum(not _stands_in(text, string) for string in strings)


def _present(copy: Mapping[str, bytes], strings: Iterable[str]) -> int:
    text = "\n".join(_text(name, content) for name, content in copy.items())
    return sum(_stands_in(text, string) for string in strings)


def _text(name: str, content: bytes) -> str:
    text = content.decode(errors="replace")
    return unescape(text) if name.endswith(".html") else text


def _stands_in(text: str, string: str) -> bool:
    return string in text or json.dumps(string, ensure_ascii=False)[1:-1] in text


def _plain(value: object) -> str:
    return ", ".join(str(each) for each in value) or "none" if isinstance(value, list) else str(value)
