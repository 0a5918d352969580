"""The reconciliation: every submission against statuses, tasks, results, commands, dead letters. Pure.

Mails have a file of their own, `chaos_mail_reckoning.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from chaos_evidence import Evidence
from chaos_script import SYSTEMS, Script, Twist

from habeas.contracts.status import StatusChanged


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not hold."""

    request_id: UUID | None
    what: str

    def __str__(self) -> str:
        return f"{self.request_id or 'the run'}: {self.what}"


def reconcile(evidence: Evidence) -> list[Finding]:
    """Whatever does not hold; nothing else is good enough."""
    found = [
        Finding(script.request_id, what) for script in evidence.scripts.values() for what in _request(script, evidence)
    ]
    for stranger in evidence.statuses.keys() - evidence.scripts.keys():
        found.append(Finding(stranger, "has a status, and was never submitted"))
    found += [Finding(None, what) for what in _dead_letters(evidence)]
    return found


def _request(script: Script, evidence: Evidence) -> Iterator[str]:
    statuses = evidence.statuses.get(script.request_id, ())
    if not statuses:
        yield "lost: it has no status"
        return
    yield from _versions(statuses)
    newest = max(statuses, key=lambda status: status.version)
    if newest.state != "closed":
        reason = f" ({newest.reason.code})" if newest.reason else ""
        yield f"stuck: {newest.state}{reason} in version {newest.version}"
    else:
        yield from _outcome(script, newest)
        yield from _answer(script, newest, evidence)
    yield from _tasks(script, evidence)
    yield from _orders(script, evidence)


def _versions(statuses: Sequence[StatusChanged]) -> Iterator[str]:
    """Versions rise by one from 1; a repeated one says the same; closed is said in one, the last, which stands last."""
    by_version: dict[int, StatusChanged] = {}
    for status in statuses:
        if by_version.setdefault(status.version, status) != status:
            yield f"version {status.version} says two things"
    missing = set(range(1, max(by_version) + 1)) - by_version.keys()
    if missing:
        yield f"versions {sorted(missing)} are missing below {max(by_version)}"
    closed = sorted(version for version, status in by_version.items() if status.state == "closed")
    if len(closed) > 1:
        yield f"closed {len(closed)} times, in versions {closed}"
    if closed and closed[-1] != max(by_version):
        yield f"open again in version {max(by_version)} after it was closed in {closed[-1]}"
    if statuses[-1].version != max(by_version):
        yield f"version {statuses[-1].version} stands last on the compacted topic, and {max(by_version)} is the highest"


def _outcome(script: Script, closed: StatusChanged) -> Iterator[str]:
    expected = script.expected
    if closed.outcome != expected.outcome:
        yield f"closed as {closed.outcome}, foretold {expected.outcome}"
    if expected.systems is None:
        return
    ended = {each.system: each.outcome if each.state == "finished" else None for each in closed.systems}
    for system in SYSTEMS:
        if ended.get(system) != expected.systems.get(system):
            yield f"{system} ended as {ended.get(system)}, foretold {expected.systems.get(system)}"
    unended = sorted(each.system for each in closed.systems if each.state not in {"finished", "excluded"})
    if unended:
        yield f"closed while {', '.join(unended)} had not ended"


def _answer(script: Script, closed: StatusChanged, evidence: Evidence) -> Iterator[str]:
    """A copy is said to be there and lies in the store; nobody else is told of one."""
    copied = script.is_copied(script.expected.outcome)
    said = closed.answer is not None and closed.answer.available
    if said != copied:
        yield f"its answer is {'' if said else 'not '}said to be there"
    if copied and script.request_id not in evidence.answers:
        yield "its answer does not lie in the store"


def _tasks(script: Script, evidence: Evidence) -> Iterator[str]:
    """Each its attempts, one event each however often it was sent, under the ids that the contract computes."""
    expected = script.expected
    given: dict[str, dict[UUID, set[UUID]]] = {system: {} for system in SYSTEMS}
    for task in evidence.assigned.get(script.request_id, ()):
        given[task.system].setdefault(task.body.task_id, set()).add(task.ce_id)
        if task.body.task_id != script.task(task.system, task.body.attempt):
            yield f"{task.system}'s attempt {task.body.attempt} has an id of its own"
    for system, known in given.items():
        wanted = expected.attempts.get(system, 0)
        if len(known) != wanted and not (system in expected.maybe and len(known) <= 1):
            yield f"{system} was given {len(known)} tasks, foretold {wanted}"
        for task_id, events in known.items():
            if len(events) > 1:
                yield f"{system}'s task {task_id} was given in {len(events)} different events"
    if script.twist is Twist.WITHDRAWN and script.task("support", 1) not in evidence.cancelled:
        yield "support's task was not cancelled"


def _orders(script: Script, evidence: Evidence) -> Iterator[str]:
    for each in ("retry", "release"):
        decisions = evidence.decisions.get(script.command(each), ())
        if each not in script.orders:
            if decisions:
                yield f"a {each} was decided that nobody foretold"
        elif not decisions:
            yield f"the {each} was never decided"
        elif not all(decided.accepted for decided in decisions):
            yield f"the {each} was refused: {', '.join({str(d.reason.code) for d in decisions if d.reason})}"


def _dead_letters(evidence: Evidence) -> Iterator[str]:
    missing = evidence.foreseen.keys() - evidence.dead_letters.keys()
    if missing:
        yield f"{len(missing)} records that were wrong on purpose have no dead letter"
    for unforeseen in sorted(evidence.dead_letters.keys() - evidence.foreseen.keys()):
        yield f"dead letter {unforeseen} that nobody foretold: {evidence.dead_letters[unforeseen]}"
    for letter, ce_id in evidence.foreseen.items():
        reason, foretold = evidence.dead_letters.get(letter), evidence.reasons.get(ce_id)
        if reason and foretold and reason != foretold:
            yield f"dead letter {letter} says {reason}, foretold {foretold}"
    untold = evidence.to_be_rejected - evidence.rejected
    if untold:
        yield f"{len(untold)} wrong submissions were not told to their portal"
    for strange in sorted(evidence.rejected - evidence.to_be_rejected):
        yield f"the portal was told that {strange} is refused, and it was right"
