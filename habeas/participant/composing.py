"""Answers in their sealed form: made, widened by what an earlier attempt did, given again under a new task id."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID, uuid4

from habeas.contracts.catalogue import read_personal, seal_personal, write
from habeas.contracts.cloudevents import CloudEvent
from habeas.contracts.errors import ContractError, Reason
from habeas.contracts.result import Record, ResultPersonal, SummaryItem, TaskFinished
from habeas.contracts.sealing import Keyring, Place
from habeas.contracts.topics import MESSAGE_LIMIT, PERSONAL_LIMIT
from habeas.contracts.vocabulary import TaskOutcome
from habeas.participant.answers import StoredAnswer
from habeas.participant.effects import ADDED_UP, ANEW
from habeas.participant.errors import AnswerTooLargeError
from habeas.participant.inbox import Assigned, kept, reopened
from habeas.participant.question import question
from habeas.participant.task import Answer

# Headers, key and the batch's frame count against Kafka's limit as well.
_BODY_LIMIT = MESSAGE_LIMIT - 4_096


class Composer:
    """Makes answers of one system under the keys it holds now."""

    def __init__(
        self, system: str, keyring: Keyring, now: Callable[[], datetime], new_id: Callable[[], UUID] = uuid4
    ) -> None:
        self._system = system
        self._keyring = keyring
        self._now = now
        self._new_id = new_id

    def compose(self, task: Assigned, answer: Answer, earlier: Sequence[StoredAnswer] = ()) -> StoredAnswer:
        """`answer` to `task`, sealed, with what still stands of `earlier` ones. Raises `AnswerTooLargeError`."""
        settled = answer.settled(task.body.action)
        if earlier and task.body.action not in ANEW:
            categories = {item.category for item in task.body.scope}
            settled = _widened([self.reopened(each) for each in earlier], settled, categories)
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
            asked=kept(task),
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
        """Whether `stored` answers just what `task` asks, in all that a function sees of it.

        Its answer may be given again only where that task was the last of its request to change anything: after any
        other, what it says need not be so any more. What an erasure has done is not lost by that: done again, its
        answer is widened by the earlier ones.
        """
        asked = reopened(stored.asked_type, stored.asked, self._keyring)
        return asked is not None and question(asked) == question(task)

    def event(self, stored: StoredAnswer) -> CloudEvent:
        """The same event each time: id, time and body are the stored ones."""
        return write(
            stored.message(),
            subject=stored.request_id,
            source=f"habeas/{self._system}",
            now=stored.answered_at,
            new_id=lambda: stored.ce_id,
        )


def _widened(earlier: Sequence[Answer], fresh: Answer, categories: Collection[str]) -> Answer:
    """One answer for what was done then and now: an effect happens once, and must not be forgotten afterwards.

    `earlier` in their order, each widened by those before it: of each category the last word counts. Only of
    `categories`, which are those of the task.
    """
    summary: dict[str, tuple[SummaryItem, ...]] = {}
    records: dict[tuple[str, str], Record] = {}
    for answer in earlier:
        for category in {item.category for item in answer.summary} & set(categories):
            summary[category] = tuple(item for item in answer.summary if item.category == category)
        records.update({(item.category, item.id): item for item in answer.records if item.category in categories})
    records.update({(item.category, item.id): item for item in fresh.records})
    counts: dict[tuple[object, ...], SummaryItem] = {}
    for item in (*(item for items in summary.values() for item in items), *fresh.summary):
        key = (item.category, item.did, item.ground, item.until)
        before = counts[key].count if key in counts else 0
        total = before + item.count if item.did in ADDED_UP else max(before, item.count)
        counts[key] = item.model_copy(update={"count": total})
    every = [*earlier, fresh]
    identities = {(item.identity_type, item.identity_value): item for answer in every for item in answer.identities}
    outcome = fresh.outcome or TaskOutcome.COMPLETED
    concerned = [answer for answer in earlier if _categories(answer) & set(categories) or not _categories(answer)]
    if concerned and outcome in (TaskOutcome.NOTHING_HELD, TaskOutcome.COMPLETED):
        partial = any(answer.outcome == TaskOutcome.PARTIAL for answer in concerned)
        outcome = TaskOutcome.PARTIAL if partial else TaskOutcome.COMPLETED
    return replace(
        fresh,
        outcome=outcome,
        records=tuple(records.values()),
        summary=tuple(counts.values()),
        identities=tuple(identities.values()),
        labels={name: text for answer in every for name, text in answer.labels.items()},
        message=next((answer.message for answer in reversed(every) if answer.message), None),
    )


def _categories(answer: Answer) -> set[str]:
    return {item.category for item in answer.summary} | {item.category for item in answer.records}
