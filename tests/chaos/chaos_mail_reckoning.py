"""A run's mails: each notice sent, nothing else, and a repeat only where SMTP's yes was not committed. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final
from uuid import UUID

from chaos_evidence import Evidence
from chaos_mail import Attempt, Came
from chaos_reckoning import Finding
from chaos_script import Script
from chaos_stage import CONNECTIONS_CUT, KILLED, REFUSING, SESSIONS_ENDED, STOPPED, Happening

_COMMITTED_WITHIN: Final = 6.0
"""Seconds between SMTP's yes and the commit that knows of it, on a machine that starts processes all the time."""
_UNDER_WAY: Final = 12.0
"""Seconds that a mail may be under way to a slow server before it is taken: others may have claimed it meanwhile."""
_HELD_BACK: Final = 4.0
"""Seconds that a slow server keeps a whole mail before it takes it: its sender may be dead by then."""
_ON_ITS_WAY: Final = 2.0
"""Seconds in which the yes of a server that is cut off may not have been read yet."""
_LEASE: Final = 300.0
"""Seconds that a notifier which stands still keeps what it had claimed."""
_EXCUSES: Final = frozenset({KILLED})
"""What may keep a notifier from committing a yes: its own end alone."""

Mails = Mapping[tuple[str, str], Sequence[Attempt]]


Excuse = Callable[[Attempt, Attempt, Sequence[Happening]], str | None]
"""Why the mail that had been taken was sent once more; None: nobody knows."""


def excuse(before: Attempt, after: Attempt, happened: Sequence[Happening]) -> str | None:
    """By what was done to the parts at about the time."""
    if before.came is Came.CUT:
        return "connection lost after DATA"
    committed_by = _committed_by(before.at, happened)
    for each in happened:
        if each.what == CONNECTIONS_CUT and before.at <= each.began <= before.at + _ON_ITS_WAY:
            return "connection lost after DATA"
        notifier = each.whom.startswith("notifier")
        stopped = each.what == STOPPED and each.ended - each.began > _LEASE
        if not notifier or not (each.what in _EXCUSES or stopped):
            continue
        earlier = _HELD_BACK if each.what == KILLED else _UNDER_WAY
        if each.ended >= before.at - earlier and each.began <= min(committed_by, after.at):
            return f"{each.whom.partition('-')[0]}: {each.what}"
    return None


def reconcile_mails(evidence: Evidence, excuse: Excuse = excuse) -> tuple[list[Finding], Counter[str]]:
    """Whatever does not hold, and why mails were repeated, each counted."""
    by_request: dict[UUID | None, dict[tuple[str, str], list[Attempt]]] = defaultdict(lambda: defaultdict(list))
    for attempt in evidence.mails:
        by_request[attempt.request_id][attempt.notice, attempt.reader].append(attempt)
    found = [
        Finding(script.request_id, what)
        for script in evidence.scripts.values()
        for what in _notices(script, by_request.get(script.request_id, {}))
    ]
    found += [
        Finding(each, "has mails, and was never submitted") for each in by_request.keys() - evidence.scripts.keys()
    ]
    repeats: Counter[str] = Counter()
    for attempts in _by_message_id(evidence.mails).values():
        for before, after in pairwise(each for each in attempts if each.came is not Came.DEFERRED):
            reason = excuse(before, after, evidence.happened)
            repeats[reason or "without reason"] += 1
            if reason is None:
                late = after.at - before.at
                found.append(
                    Finding(after.request_id, f"{after.notice} was sent again after {late:.1f} s for no reason we know")
                )
    return found, repeats


def _notices(script: Script, mails: Mails) -> Iterator[str]:
    expected = script.expected.mails
    for key in sorted(expected.keys() | mails.keys()):
        notice, reader = key
        attempts = mails.get(key, ())
        accepted = {each.message_id for each in attempts if each.came is Came.ACCEPTED}
        known = {each.message_id for each in attempts}
        if len(accepted) != expected.get(key, 0):
            yield f"{len(accepted)} mails {notice} to {reader}, foretold {expected.get(key, 0)}"
        elif len(known) > len(accepted):
            yield f"{notice} to {reader} went under {len(known)} Message-IDs"


def _by_message_id(attempts: Sequence[Attempt]) -> Mapping[str, list[Attempt]]:
    found: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in sorted(attempts, key=lambda each: each.at):
        found[attempt.message_id].append(attempt)
    return found


def _committed_by(accepted: float, happened: Sequence[Happening]) -> float:
    """When a yes is committed at the latest: a notifier keeps trying as long as PostgreSQL will not have it."""
    latest = accepted + _COMMITTED_WITHIN
    for each in sorted(happened, key=lambda happening: happening.began):
        if each.what in {REFUSING, SESSIONS_ENDED} and each.began <= latest and each.ended >= accepted:
            latest = max(latest, each.ended + _COMMITTED_WITHIN)
    return latest
