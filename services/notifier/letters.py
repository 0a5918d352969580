"""Between the event, the row and the mail: what is sealed is opened here and nowhere else."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from habeas.contracts import KeyFile, Keyring, Place
from habeas.contracts.catalogue import read_personal
from services.notifier.domain import Key, Letter, Mail, Token, new_token, open_token
from services.notifier.mails import MailRenderer
from services.notifier.store import Claimed, NewNotice, StoredAnswer
from shared.events import SERVICES, NoticePersonal, NoticeRequested


def new_notice(
    event: bytes,
    body: NoticeRequested,
    personal: NoticePersonal,
    keyring: Keyring,
    randomness: Callable[[int], bytes],
) -> NewNotice:
    """The row of a notice that was asked for; with a fresh token where there is an answer to fetch.

    A notice that is recorded already keeps its row and its token: the fresh one is then forgotten.
    """
    key = Key(body.request_id, str(body.notice), str(body.recipient), body.ordinal)
    token: Token | None = None
    if personal.answer is not None:
        token = new_token(keyring, body.request_id, personal.answer.expires_at, randomness)
    return NewNotice(key, event, token)


class Reader:
    """Opens rows. `public_url` is where the pages are reached from outside, without a slash at its end."""

    def __init__(self, keys: KeyFile, public_url: str) -> None:
        self._keys = keys
        self._base = f"{public_url.rstrip('/')}/answers/"

    def mail(self, claimed: Claimed) -> Mail:
        """Raises `ContractError`, `KeyUnknownError`, `ValidationError`."""
        link = None
        if claimed.token_sealed is not None:
            link = self._base + open_token(self._keys.keyring(), claimed.key.request_id, claimed.token_sealed)
        if claimed.opened is not None:
            return Mail(*claimed.opened, link)
        return self._open(claimed.event, claimed.key.request_id, link)

    def answer(self, stored: StoredAnswer) -> Mail:
        """Raises as `mail` does."""
        return self._open(stored.event, stored.request_id, None)

    def _open(self, event: bytes, request_id: UUID, link: str | None) -> Mail:
        body = NoticeRequested.model_validate_json(event)
        place = Place(SERVICES, NoticeRequested.TYPE, request_id)
        return Mail(body, read_personal(self._keys.keyring(), place, body.personal, NoticePersonal), link)


def writer(reader: Reader, renderer: MailRenderer) -> Callable[[Claimed, datetime], Letter]:
    """What makes the worker's letters of the rows it has claimed, dated with an instant.

    Raises `AddressError` where it can go to nobody, and as `Reader.mail` and `MailRenderer.letter` do.
    """

    def write(claimed: Claimed, at: datetime) -> Letter:
        return renderer.letter(reader.mail(claimed), at)

    return write
