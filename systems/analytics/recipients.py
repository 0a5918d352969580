"""Tells the recipients that hold a copy what became of it (GDPR Art. 19).

A notice is a file in the folder that the recipient collects from, written before the task is answered. It names people
by the keyed hash under which they were passed on, so that it says nothing of those who have been erased here. Its name
follows from what it is about: written twice, it is the same notice.
"""

import datetime as dt
import json
import os
from collections.abc import Sequence

from habeas.participant import Task
from systems.analytics.files import put_in_place
from systems.analytics.store import Warehouse

RECIPIENTS = {"visits": ("analytics_provider",), "marketing_preference": ("hosting",)}


def tell(store: Warehouse, task: Task, category: str, subjects: Sequence[str], at: dt.datetime) -> int:
    """One notice to each recipient of the category; returns how many that are. Bears repeating."""
    recipients = RECIPIENTS[category]
    content = {"action": task.action, "category": category, "subjects": sorted(subjects), "at": at.isoformat()}
    for recipient in recipients:
        folder = store.folder.parent / "recipients" / recipient
        for place in (folder.parent, folder):
            place.mkdir(mode=0o700, exist_ok=True)
        fresh = folder / f"{task.request_id}-{task.action}-{category}.new"
        with os.fdopen(os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
            json.dump(content, file)
        put_in_place(fresh, fresh.with_suffix(".json"))
    return len(recipients)


def forget(store: Warehouse, before: dt.date) -> None:
    """Drops the notices of before that day."""
    for notice in (store.folder.parent / "recipients").glob("*/*.json"):
        if json.loads(notice.read_text())["at"] < before.isoformat():
            notice.unlink()
