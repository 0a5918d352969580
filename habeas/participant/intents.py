"""`Task.once` on a journal: what was found is stored, sealed under the system's own key, before anything is done."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import orjson
from pydantic import TypeAdapter

from habeas.contracts.sealing import Keyring, Place
from habeas.participant.answers import Session
from habeas.participant.inbox import Assigned
from habeas.participant.question import question

Value = TypeVar("Value")

_TYPE = "dsr.participant.intent.v1"


class Intents:
    """An intent belongs to the question: for other identities, or another scope, there is another look."""

    def __init__(self, session: Session[Any], task: Assigned, keyring: Keyring) -> None:
        self._session = session
        self._task = task
        self._keyring = keyring

    async def once(self, name: str, kind: type[Value], compute: Callable[[], Awaitable[Value]]) -> Value:
        body = self._task.body
        asked = question(self._task)
        place = Place(body.system, _TYPE, body.request_id)
        adapter: TypeAdapter[Value] = TypeAdapter(kind)
        sealed = await self._session.intent(body.request_id, body.action, name)
        if sealed is not None:
            held = orjson.loads(self._keyring.open(place, sealed))
            if held["question"] == asked:
                return adapter.validate_json(orjson.dumps(held["value"]))
        value = await compute()
        held = {"question": asked, "value": orjson.loads(adapter.dump_json(value))}
        await self._session.keep_intent(
            body.request_id, body.action, name, self._keyring.seal(place, orjson.dumps(held))
        )
        return value
