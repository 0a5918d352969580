"""What a task asks, apart from when it asks: to tell a repeated question from another one."""

import hashlib
from typing import Any

import orjson

from habeas.contracts.vocabulary import Action
from habeas.participant.inbox import Assigned


def question(task: Assigned) -> str:
    """A digest of all that a function sees of the task and that makes a difference to what it does.

    The order of identities, categories and purposes makes none; that of corrections may. `due_at` counts for a hold,
    which lasts until then. Not keyed: keep it sealed.
    """
    body, personal = task.body, task.personal
    asked = {
        "action": body.action,
        "right": body.right,
        "regulation": body.regulation,
        "scope": _unordered(
            [{**item.model_dump(mode="json"), "purposes": sorted(item.purposes)} for item in body.scope]
        ),
        "period": body.period and body.period.model_dump(mode="json"),
        "until": body.due_at if body.action == Action.HOLD else None,
        "identities": _unordered([item.model_dump(mode="json") for item in personal.subject.identities]),
        "details": {**personal.details.model_dump(mode="json"), "purposes": sorted(personal.details.purposes)},
    }
    return hashlib.sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _unordered(items: list[dict[str, Any]]) -> list[str]:
    return sorted(orjson.dumps(item, option=orjson.OPT_SORT_KEYS).decode() for item in items)
