"""For teams whose system holds personal data: one function for each action, the library does the rest.

`habeas.participant.postgres` (needs asyncpg) is the store for systems on PostgreSQL; `Sqlite` and `Journal` need
nothing beyond Python.
"""

from habeas.contracts.result import Record, SummaryItem, TaskError
from habeas.contracts.submission import Identity
from habeas.contracts.vocabulary import Action, Did, Origin, TaskOutcome
from habeas.participant.errors import NeedsInput, ParticipantError, Permanent, Refused, Unavailable
from habeas.participant.folder import data_folder
from habeas.participant.participant import Participant, ParticipantSettings
from habeas.participant.sqlite import Journal, Sqlite
from habeas.participant.task import Answer, Task, identity
from habeas.participant.tuning import Tuning

__all__ = [
    "Action",
    "Answer",
    "Did",
    "Identity",
    "Journal",
    "NeedsInput",
    "Origin",
    "Participant",
    "ParticipantError",
    "ParticipantSettings",
    "Permanent",
    "Record",
    "Refused",
    "Sqlite",
    "SummaryItem",
    "Task",
    "TaskError",
    "TaskOutcome",
    "Tuning",
    "Unavailable",
    "data_folder",
    "identity",
]
