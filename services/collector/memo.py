"""What texts stand for, so that what one wrote oneself, or has read before, need not be read again."""

from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Memo(Generic[Value]):
    """Values by the whole text that they were written as: none can be stale, and what a transaction that failed left
    behind is found by nobody, since its text stands nowhere."""

    def __init__(self, read: Callable[[str], Value], size: int) -> None:
        """`size` is how many are kept; the oldest go first."""
        self._read = read
        self._size = size
        self._values: dict[str, Value] = {}

    def __call__(self, text: str) -> Value:
        value = self._values.get(text)
        if value is None:
            value = self._read(text)
            self.note(text, value)
        return value

    def note(self, text: str, value: Value) -> None:
        """`text` is what `value` was written as."""
        values = self._values
        if len(values) >= self._size and text not in values:
            del values[next(iter(values))]
        values[text] = value
