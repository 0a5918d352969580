"""What a team's function may raise to say how a task ends. Anything else it raises is tried again."""

from habeas.contracts.errors import HabeasError
from habeas.contracts.vocabulary import TaskOutcome


class ParticipantError(HabeasError):
    """Base of every error of the participant library."""


class Ended(ParticipantError):  # noqa: N818 - how a task ends, like the words below
    """The task ends without having been done; its effects are rolled back where the store can.

    `code` travels in clear: a word such as `mailbox_locked`, never a value. `message` is for people and travels sealed.
    """

    outcome = TaskOutcome.FAILED

    def __init__(self, code: str, message: str | None = None, *, retryable: bool = False) -> None:
        super().__init__(code)
        self.code = code
        self.message = message
        self.retryable = retryable


class Refused(Ended):
    """The system may not do what was asked, and `code` says on which ground."""

    outcome = TaskOutcome.REFUSED


class NeedsInput(Ended):
    """A person has to add something before the task can be done."""

    outcome = TaskOutcome.NEEDS_INPUT


class Permanent(Ended):
    """It cannot be done, and trying again as it is will not help."""


class AnswerTooLargeError(Permanent):
    """The sealed answer exceeds what one message may hold (900 kB)."""

    def __init__(self, limit: int) -> None:
        super().__init__("answer_too_large")
        self.add_note(f"the answer is over {limit} bytes sealed: send what is large as an artifact")
        self.limit = limit


class Unavailable(ParticipantError):  # noqa: N818 - raised by teams, beside Refused and Permanent
    """The store or a service behind it is away for now: tried again, then the process stops to be restarted.

    It never counts against the task.
    """


class TaskStoppedError(ParticipantError):
    """A task could not be done and its record stays: the process ends, and meets it again when restarted."""

    def __init__(self, cause: str, where: str) -> None:
        super().__init__(f"{cause} at {where}: mend the cause; the task is tried again at the next start")
        self.cause = cause
        self.where = where


class PublishError(ParticipantError):
    """Kafka did not confirm what was sent. Nothing is lost: the records are read again at the next start."""


class StartError(ParticipantError):
    """Something the process needs could not be reached at its start."""
