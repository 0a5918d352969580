"""What the library says of words that it does not know, and of a search that found somebody."""

import pytest

from habeas.contracts.catalogue import seal_personal
from habeas.contracts.sealing import Place
from habeas.contracts.submission import Correction, Identity
from habeas.contracts.task import ScopeItem, TaskAssigned, TaskDetails, TaskPersonal, TaskSubject
from habeas.participant import Action, Answer, identity
from tests.participant.tasks import task_for
from tests.participant.toys import Bench


async def test_an_erasure_by_an_unknown_instruction_leaves_everything(sqlite_bench: Bench) -> None:
    scope = (ScopeItem(category="notes", purposes=("notes",), basis="contract", instruction="imagined"),)
    body = await sqlite_bench.one(sqlite_bench.task("erase", "ada", scope=scope))
    assert body.outcome == "unsupported"
    assert body.error is not None
    assert body.error.code == "instruction_unsupported"
    assert await sqlite_bench.holds("ada")


async def test_an_instruction_is_about_erasures_alone(sqlite_bench: Bench) -> None:
    scope = (ScopeItem(category="notes", purposes=("notes",), basis="contract", instruction="imagined"),)
    assert (await sqlite_bench.one(sqlite_bench.task("access", "ada", scope=scope))).outcome == "completed"


async def test_a_correction_by_an_unknown_operation_is_not_guessed_at(sqlite_bench: Bench) -> None:
    task = task_for("toy", sqlite_bench.keyring, "access", ("email", "ada"))
    personal = TaskPersonal(
        subject=TaskSubject(identities=(Identity(identity_type="email", identity_value="ada"),)),
        details=TaskDetails(corrections=(Correction(category="notes", field="who", value="eda", op="imagined"),)),
    )
    place = Place("toy", TaskAssigned.TYPE, task.request_id, task.task_id)
    body = await sqlite_bench.one(
        task.model_copy(update={"personal": seal_personal(sqlite_bench.keyring, place, personal)})
    )
    assert body.outcome == "unsupported"
    assert body.error is not None
    assert body.error.code == "correction_unsupported"


@pytest.mark.parametrize(("action", "outcome"), [(Action.LOCATE, "completed"), (Action.ACCESS, "nothing_held")])
def test_identifiers_are_all_that_a_search_finds(action: Action, outcome: str) -> None:
    assert Answer(identities=[identity("account_id", "acc-ada")]).settled(action).outcome == outcome
