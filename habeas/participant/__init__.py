"""For teams whose system holds personal data: one function for each action, the library does the rest.

`habeas.participant.postgres` (needs asyncpg) is the store for systems on PostgreSQL; `Sqlite` and `Journal` need
nothing beyond Python.
"""

from habeas.contracts.result import Record, SummaryItem, TaskError
from habeas.contracts.submission import Correction, Identity, Period
from habeas.contracts.task import ScopeItem, TaskDetails
from habeas.contracts.vocabulary import Action, CorrectionOp, Did, Instruction, LegalBasis, Origin, Right, TaskOutcome
from habeas.participant.errors import NeedsInput, ParticipantError, Permanent, Refused, Unavailable
from habeas.participant.folder import data_folder
from habeas.participant.participant import Participant, ParticipantSettings
from habeas.participant.sqlite import Journal, Sqlite
from habeas.participant.task import Answer, Task, identity
from habeas.participant.tuning import Tuning

__all__ = [
    "Action",
    "Answer",
    "Correction",
    "CorrectionOp",
    "Did",
    "Identity",
    "Instruction",
    "Journal",
    "LegalBasis",
    "NeedsInput",
    "Origin",
    "Participant",
    "ParticipantError",
    "ParticipantSettings",
    "Period",
    "Permanent",
    "Record",
    "Refused",
    "Right",
    "ScopeItem",
    "Sqlite",
    "SummaryItem",
    "Task",
    "TaskDetails",
    "TaskError",
    "TaskOutcome",
    "Tuning",
    "Unavailable",
    "data_folder",
    "identity",
]
