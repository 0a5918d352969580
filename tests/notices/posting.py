"""What stands between a worker and a mail server, for tests that look at one side of it."""

from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime

from services.notifier.domain import Answered, Letter, Mail, Outcome
from services.notifier.smtp import Postman
from services.notifier.store import Claimed

Post = Callable[[Mail, datetime], Awaitable[Outcome]]


class Posting:
    """A worker's `write` and `deliver`: each mail is opened, then handed to `post` alone."""

    def __init__(self, open_mail: Callable[[Claimed], Mail], post: Post) -> None:
        self._open = open_mail
        self._post = post
        self._mails: dict[Letter, tuple[Mail, datetime]] = {}

    def write(self, claimed: Claimed, at: datetime) -> Letter:
        letter = Letter("privacy@ale.example", "ana@example.com", b"")
        self._mails[letter] = self._open(claimed), at
        return letter

    async def deliver(self, letters: Iterator[Letter], answered: Answered) -> None:
        for letter in letters:
            answered(letter, await self._post(*self._mails.pop(letter)))


async def deliver(postman: Postman, *letters: Letter) -> list[Outcome]:
    """What came of each."""
    outcomes: dict[Letter, Outcome] = {}

    def answered(letter: Letter, outcome: Outcome) -> None:
        assert letter not in outcomes
        outcomes[letter] = outcome

    await postman.deliver(iter(letters), answered)
    return [outcomes[letter] for letter in letters]


async def deliver_one(postman: Postman, sender: str, recipient: str, message: bytes) -> Outcome:
    (outcome,) = await deliver(postman, Letter(sender, recipient, message))
    return outcome
