"""What comes of a system's own use of somebody's data: done, or refused by a limit the person has set."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Use:
    """One use for one person. Shows no personal data: `what` names the kind of use, not the person."""

    what: str
    """The kind of use, such as `invoice` or `charge`."""
    done: bool
    purpose: str
    """What the use was for; where it was refused, the purpose that was."""
    why: str | None = None
    """None where it was done. Else `restricted` (GDPR Art. 18), `objected` (Art. 21), `withdrawn` (Art. 7(3)),
    `not_held`, or a word of the system's own for what stood in the way."""

    def __post_init__(self) -> None:
        if self.done == (self.why is not None):
            raise ValueError("a use is done, or there is a reason why it is not: give `why` with the latter alone")
