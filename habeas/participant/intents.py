"""`Task.once` on a journal: what was found is stored, sealed under the system's own key, before anything is done."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from pydantic import TypeAdapter

from habeas.contracts.sealing import Keyring, Place
from habeas.participant.answers import Session, Settled, StoredAnswer
from habeas.participant.inbox import Assigned
from habeas.participant.question import question

Value = TypeVar("Value")

_TYPE = "dsr.participant.intent.v1"


class Intents:
    """An intent belongs to the question: for other identities, or another scope, there is another look beside it."""

    def __init__(self, session: Session[Any], task: Assigned, keyring: Keyring) -> None:
        self._session = session
        self._task = task
        self._keyring = keyring

    async def once(self, name: str, kind: type[Value], compute: Callable[[], Awaitable[Value]]) -> Value:
        body = self._task.body
        place = Place(body.system, _TYPE, body.request_id)
        adapter: TypeAdapter[Value] = TypeAdapter(kind)
        prefixes = _prefixes(self._task, self._keyring)
        for prefix in prefixes:
            sealed = await self._session.intent(body.request_id, body.action, prefix + name)
            if sealed is not None:
                return adapter.validate_json(self._keyring.open(place, sealed))
        value = await compute()
        sealed = self._keyring.seal(place, adapter.dump_json(value))
        await self._session.keep_intent(body.request_id, body.action, prefixes[0] + name, sealed)
        return value


def settled(task: Assigned, answer: StoredAnswer, keyring: Keyring) -> list[Settled]:
    """The intents that are out of date with that answer: nothing of what they were for is half done any more."""
    if not answer.settles:
        return []
    return [
        *((answer.request_id, answer.action, prefix) for prefix in _prefixes(task, keyring)),
        *((answer.request_id, action, "") for action in sorted(answer.undoes)),
    ]


def _prefixes(task: Assigned, keyring: Keyring) -> list[str]:
    """What the names of the question's intents begin with: a keyed digest, under each key that is held.

    The first is for what is new; a key that was added since is no reason to look anew.
    """
    asked = question(task).encode()
    return [f"{keyring.fingerprint(kid, asked).hex()} " for kid in keyring.kids(task.body.system)]
