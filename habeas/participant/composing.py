"""Answers in their sealed form: made, widened by what an earlier attempt did, given again under a new task id."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from uuid import UUID, uuid4

from habeas.contracts.catalogue import read_personal, seal_personal, write
from habeas.contracts.cloudevents import CloudEvent
from habeas.contracts.errors import ContractError, Reason
from habeas.contracts.result import ResultPersonal, SummaryItem, TaskFinished
from habeas.contracts.sealing import Keyring, Place
from habeas.contracts.task import TaskPersonal
from habeas.contracts.topics import MESSAGE_LIMIT, PERSONAL_LIMIT
from habeas.contracts.vocabulary import Did, TaskOutcome
from habeas.participant.answers import StoredAnswer
from habeas.participant.errors import AnswerTooLargeError
from habeas.participant.inbox import Assigned
from habeas.participant.task import READING, Answer

# Headers, key and the batch's frame count against Kafka's limit as well.
_BODY_LIMIT = MESSAGE_LIMIT - 4_096
# Said again at each attempt, so never added up.
_STANDING = frozenset({Did.RETAINED, Did.RESTRICTED, Did.WITHHELD, Did.SUPPRESSED, Did.STOPPED})


class Composer:
    """Makes answers of one system under the keys it holds now."""

    def __init__(
        self, system: str, keyring: Keyring, now: Callable[[], datetime], new_id: Callable[[], UUID] = uuid4
    ) -> None:
        self._system = system
        self._keyring = keyring
        self._now = now
        self._new_id = new_id

    def compose(self, task: Assigned, answer: Answer, earlier: StoredAnswer | None = None) -> StoredAnswer:
        """`answer` to `task`, sealed. Raises `AnswerTooLargeError`."""
        settled = answer.settled(task.body.action)
        if earlier is not None and task.body.action not in READING:
            settled = _widened(self.reopened(earlier), settled)
        place = Place(self._system, TaskFinished.TYPE, task.body.request_id, task.body.task_id)
        personal = ResultPersonal(
            records=tuple(settled.records),
            identities=tuple(settled.identities),
            labels=dict(settled.labels),
            message=settled.message,
        )
        try:
            sealed = seal_personal(self._keyring, place, personal)
        except ContractError as error:
            if error.reason is not Reason.TOO_LARGE:
                raise
            raise AnswerTooLargeError(PERSONAL_LIMIT) from None
        outcome = settled.outcome or TaskOutcome.COMPLETED
        body = TaskFinished(
            task_id=task.body.task_id,
            request_id=task.body.request_id,
            system=self._system,
            outcome=outcome,
            summary=tuple(settled.summary),
            error=settled.error,
            personal=sealed,
        ).model_dump_json()
        if len(body) > _BODY_LIMIT:
            raise AnswerTooLargeError(_BODY_LIMIT)
        return StoredAnswer(
            task_id=task.body.task_id,
            request_id=task.body.request_id,
            action=task.body.action,
            outcome=outcome,
            ce_id=self._new_id(),
            answered_at=self._now(),
            body=body.encode(),
            asked_type=task.body.TYPE,
            asked=task.body.personal,
        )

    def again(self, task: Assigned, earlier: StoredAnswer) -> StoredAnswer:
        """What was answered to an earlier attempt, as the answer to this one."""
        return self.compose(replace(task), self.reopened(earlier))

    def reopened(self, stored: StoredAnswer) -> Answer:
        """A stored answer's content. Where its key is gone, what stands in clear: outcome and summary."""
        message = stored.message()
        place = Place(self._system, TaskFinished.TYPE, stored.request_id, stored.task_id)
        try:
            personal = read_personal(self._keyring, place, message.personal, ResultPersonal)
        except ContractError:
            personal = ResultPersonal()
        return Answer(
            records=personal.records,
            summary=message.summary,
            identities=personal.identities,
            labels=personal.labels,
            message=personal.message,
            outcome=TaskOutcome(message.outcome),
            error=message.error,
        )

    def same_question(self, task: Assigned, stored: StoredAnswer) -> bool:
        """Whether `stored` answers just what `task` asks: the same identities, the same details."""
        place = Place(self._system, stored.asked_type, stored.request_id, stored.task_id)
        try:
            return read_personal(self._keyring, place, stored.asked, TaskPersonal) == task.personal
        except ContractError:
            return False

    def event(self, stored: StoredAnswer) -> CloudEvent:
        """The same event each time: id, time and body are the stored ones."""
        return write(
            stored.message(),
            subject=stored.request_id,
            source=f"habeas/{self._system}",
            now=stored.answered_at,
            new_id=lambda: stored.ce_id,
        )


def _widened(earlier: Answer, fresh: Answer) -> Answer:
    """One answer for what was done then and now: an effect happens once, and must not be forgotten afterwards."""
    counts: dict[tuple[object, ...], SummaryItem] = {}
    for item in (*earlier.summary, *fresh.summary):
        key = (item.category, item.did, item.ground, item.until)
        before = counts[key].count if key in counts else 0
        total = max(before, item.count) if item.did in _STANDING else before + item.count
        counts[key] = item.model_copy(update={"count": total})
    identities = {(item.identity_type, item.identity_value): item for item in (*earlier.identities, *fresh.identities)}
    if fresh.outcome in (TaskOutcome.NOTHING_HELD, TaskOutcome.COMPLETED, TaskOutcome.PARTIAL):
        partial = TaskOutcome.PARTIAL in (earlier.outcome, fresh.outcome)
        outcome = TaskOutcome.PARTIAL if partial else TaskOutcome.COMPLETED
    else:
        outcome = fresh.outcome or TaskOutcome.COMPLETED
    return replace(
        fresh,
        outcome=outcome,
        records=(*earlier.records, *fresh.records),
        summary=tuple(counts.values()),
        identities=tuple(identities.values()),
        labels={**earlier.labels, **fresh.labels},
        message=fresh.message or earlier.message,
    )
