"""Whether everything came out as it should: what was observed against the scenario. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from habeas.contracts.status import StatusChanged
from operations.demo import people, scenario
from operations.demo.copies import Check, counted, examine_copies, same
from operations.demo.mailbox import Mail
from operations.demo.scenario import CHILD, RECTIFICATION, RECTIFIED_NOTICE, Ask, Moment, Work

__all__ = ["Check", "Letter", "Observed", "examine"]


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
    passed: Mapping[str, Sequence[str]]
    """The states that each was seen in, with their reasons."""
    mails: Mapping[str, Sequence[Mail]]
    """Those about each."""
    stray_mails: int
    """Mails that belong to none of the requests."""
    copies: Mapping[str, Mapping[str, bytes]] = field(repr=False)
    """The files of each fetched answer."""
    uses: Mapping[tuple[str, Moment, Work], str]
    """What came of the systems' own uses: done, or why not."""
    told_recipient: bool
    """Whether the payment processor was told of the new name."""
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
        *_child(seen),
        *_recipient(seen),
        *_refusal(seen),
        *examine_copies(seen.copies, today),
        *_blows(seen),
    ]


def _request(seen: Observed, ask: Ask) -> Iterator[Check]:
    status = seen.statuses.get(ask.key)
    if status is None:
        yield Check(f"{ask.title}: has a status", False, "none", "log/intake.log, log/collector.log")
        return
    yield same(f"{ask.title}: closed", "closed", status.state, "log/collector.log, log/notifier.log")
    yield same(f"{ask.title}: its outcome", ask.outcome, status.outcome, "log/collector.log")
    ends = {each.system: each.outcome or each.state for each in status.systems}
    for system, end in ask.systems.items():
        yield same(f"{ask.title}: how {system} ended", end, ends.get(system), f"log/{system}.log, log/fanout.log")
    passed = list(dict.fromkeys(seen.passed.get(ask.key, ())))
    for standing in ask.passes:
        yield Check(f"{ask.title}: was in {standing}", standing in passed, ", ".join(passed), "log/collector.log")
    yield Check(f"{ask.title}: has a due date", status.due is not None, "none", "log/intake.log")
    notices = sorted(mail.notice for mail in seen.mails.get(ask.key, ()))
    yield same(f"{ask.title}: each mail once", sorted(ask.notices), notices, "mail/, log/notifier.log")
    for moment, uses in ask.uses.items():
        for work, expected in uses.items():
            found = seen.uses.get((ask.key, moment, work), "not tried")
            yield same(f"{ask.title}: the {work} {_WHEN[moment]}", expected, found, f"log/{work.system}.log")


_WHEN = {Moment.BEFORE: "before", Moment.AFTER: "afterwards", Moment.LIFTED: "once lifted"}


def _child(seen: Observed) -> Iterator[Check]:
    """A bystander learns nothing of what was held about whom."""
    look = "mail/, log/notifier.log"
    mails = [mail for mail in seen.mails.get(CHILD, ()) if not mail.notice.startswith("dpo_")]
    others = sum(mail.to != people.REPORTER for mail in mails)
    yield counted("child reported: mails go to who reported it alone", others, "to others", look)
    words = (people.CHILD.name, people.CHILD.email, "invoice", "account", "conversation", "visits")
    telling = sum(word in mail.text.lower() for mail in mails for word in map(str.lower, words))
    yield counted("child reported: the mails tell nothing of what was held", telling, "words that do", look)


def _recipient(seen: Observed) -> Iterator[Check]:
    """Whoever had the old name is told of the new one, and the person of who was told (GDPR Art. 19)."""
    told = seen.told_recipient
    yield Check("rectification: the payment processor knows the new name", told, "it does not", "log/billing.log")
    mails = [mail for mail in seen.mails.get(RECTIFICATION, ()) if mail.notice == RECTIFIED_NOTICE]
    named = any(people.RECIPIENT in mail.text for mail in mails)
    yield Check("rectification: the mail says who else was told", named, "it does not", "mail/, log/notifier.log")


def _refusal(seen: Observed) -> Iterator[Check]:
    look = "log/intake.log"
    yield same("one dead letter", 1, len(seen.letters), look)
    for letter in seen.letters[:1]:
        yield same("the dead letter's reason", scenario.MALFORMED_REASON, letter.reason, look)
        whole = letter.value == scenario.MALFORMED_VALUE
        yield Check("operators can open the dead letter and find the submission", whole, "not so", look)
    yield same("the portal was told of the refusal", [scenario.MALFORMED_REASON], list(seen.rejected or ()), look)


def _blows(seen: Observed) -> Iterator[Check]:
    other = seen.killed is not None and seen.back is not None and seen.killed != seen.back
    yield Check("the killed collector runs again", other, f"pids {seen.killed}, {seen.back}", "log/collector.log")
    yield Check("work waited for the killed collector", seen.waiting > 0, "none", "log/collector.log")
    waited = seen.waited_for_analytics
    yield Check("requests waited for the stopped analytics", waited, "they did not", "log/analytics.log")
