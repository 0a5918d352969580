"""What texts stand for, so that what one wrote oneself, or has read before, need not be read again."""

from collections.abc import Callable
from typing import Generic, TypeVar
from uuid import UUID

Value = TypeVar("Value")


class Memo(Generic[Value]):
    """By request the last value and the whole text that it was written as: none can be stale, and what a transaction
    that failed left behind is found by nobody, since its text stands nowhere."""

    def __init__(self, read: Callable[[str], Value], size: int) -> None:
        """`size` is of how many requests; those that nothing was noted of for longest go first."""
        self._read = read
        self._size = size
        self._known: dict[UUID, tuple[str, Value]] = {}

    def __call__(self, request_id: UUID, text: str) -> Value:
        known = self._known.get(request_id)
        if known is not None and known[0] == text:
            return known[1]
        value = self._read(text)
        self.note(request_id, text, value)
        return value

    def note(self, request_id: UUID, text: str, value: Value) -> None:
        """`text` is what `value` was written as."""
        known = self._known
        if known.pop(request_id, None) is None and len(known) >= self._size:
            del known[next(iter(known))]
        known[request_id] = text, value
