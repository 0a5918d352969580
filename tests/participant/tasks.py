"""Tasks as the fan-out would write them, for tests."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from habeas.contracts.catalogue import read_personal, seal_personal
from habeas.contracts.result import ResultPersonal, TaskFinished
from habeas.contracts.sealing import JsonWebKey, Keyring, Place, new_key
from habeas.contracts.submission import Identity
from habeas.contracts.task import ScopeItem, TaskAssigned, TaskPersonal, TaskReminded, TaskSubject
from habeas.participant.inbox import Assigned


def a_keyring(*participants: str) -> Keyring:
    return Keyring(JsonWebKey(**new_key(name)) for name in participants)


def personal_of(*identities: tuple[str, str]) -> TaskPersonal:
    return TaskPersonal(
        subject=TaskSubject(
            identities=tuple(Identity(identity_type=kind, identity_value=value) for kind, value in identities)
        )
    )


def task_for(
    system: str,
    keyring: Keyring,
    action: str,
    *identities: tuple[str, str],
    request_id: UUID | None = None,
    task_id: UUID | None = None,
    attempt: int = 1,
    reminder: bool = False,
    sealed_at: Place | None = None,
    **changes: Any,
) -> TaskAssigned | TaskReminded:
    """A task for `system`, sealed for it (or wrongly, for `sealed_at`)."""
    model = TaskReminded if reminder else TaskAssigned
    request_id, task_id = request_id or uuid4(), task_id or uuid4()
    place = sealed_at or Place(system, model.TYPE, request_id, task_id)
    content: dict[str, Any] = {
        "task_id": task_id,
        "request_id": request_id,
        "system": system,
        "attempt": attempt,
        "action": action,
        "right": "erasure" if action == "erase" else "access",
        "regulation": "eu-gdpr",
        "policy_version": "2025-02-10",
        "scope": (ScopeItem(category="account", purposes=("billing",), basis="contract"),),
        "due_at": datetime.now(UTC) + timedelta(days=7),
        "personal": seal_personal(keyring, place, personal_of(*identities)),
        **({"level": 1} if reminder else {}),
    }
    return model(**{**content, **changes})


def opened(body: TaskAssigned | TaskReminded, keyring: Keyring) -> Assigned:
    place = Place(body.system, body.TYPE, body.request_id, body.task_id)
    return Assigned(body, read_personal(keyring, place, body.personal, TaskPersonal))


def personal_in(body: TaskFinished, keyring: Keyring) -> ResultPersonal:
    place = Place(body.system, TaskFinished.TYPE, body.request_id, body.task_id)
    return read_personal(keyring, place, body.personal, ResultPersonal)
