"""From the event to the row to the mail, through the real seals and the real table."""

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest

from habeas.contracts import ContractError, KeyFile, Keyring
from services.notifier import store
from services.notifier.domain import Key, Mail
from services.notifier.letters import Reader, new_notice, writer
from services.notifier.mails import MailRenderer
from services.notifier.store import Claimed, Lease
from shared.database import Pool
from shared.registry import Registry
from tests.notices.samples import ANSWER, NOW, notice, personal, sealed_event

LEASE = timedelta(minutes=5)
HOLDER = 7


def lease(holder: int = HOLDER, lasts: timedelta = LEASE) -> Lease:
    return Lease(uuid4(), lasts, holder)


@pytest.fixture
def keys(tmp_path: Path, jwk: dict[str, Any]) -> KeyFile:
    path = tmp_path / "keys.json"
    path.write_bytes(orjson.dumps({"keys": [jwk]}))
    return KeyFile(path)


def bytes_of(number: int) -> Any:
    return lambda length: bytes([number]) * length


async def test_a_repeated_mail_carries_the_same_link(pool: Pool, keyring: Keyring, keys: KeyFile) -> None:
    body, person = notice("completed"), personal(answer=ANSWER)
    event = sealed_event(keyring, body, person)
    reader = Reader(keys, "https://privacy.ale.example/base/")
    links = []
    async with pool.acquire() as connection:
        for number in (1, 2):  # the event comes twice: the second token is forgotten
            await store.record(connection, [new_notice(event, body, person, keyring, bytes_of(number))], NOW)
            (claimed,) = await store.claim(connection, 1, NOW, lease(lasts=timedelta(seconds=-1)))
            mail = reader.mail(claimed)
            assert mail.personal == person
            assert mail.notice.reference == body.reference
            links.append(mail.link)
    assert links[0] == links[1]
    assert links[0].startswith("https://privacy.ale.example/base/answers/")
    assert len(links[0].rpartition("/")[2]) == 43


async def test_a_mail_without_an_answer_has_no_link(pool: Pool, keyring: Keyring, keys: KeyFile) -> None:
    body, person = notice(), personal()
    async with pool.acquire() as connection:
        await store.record(
            connection, [new_notice(sealed_event(keyring, body, person), body, person, keyring, bytes_of(1))], NOW
        )
        (claimed,) = await store.claim(connection, 1, NOW, lease())
    assert claimed.token_sealed is None
    assert Reader(keys, "https://x").mail(claimed).link is None


async def test_the_table_holds_nothing_personal_in_clear(pool: Pool, keyring: Keyring) -> None:
    body, person = notice("completed"), personal(answer=ANSWER)
    async with pool.acquire() as connection:
        row = new_notice(sealed_event(keyring, body, person), body, person, keyring, bytes_of(1))
        await store.record(connection, [row], NOW)
        dump = str([dict(record) for record in await connection.fetch("SELECT * FROM notices")])
    for secret in ("ana@example.com", "Müller", "M\\\\u00fc", ANSWER.secret, ANSWER.key):
        assert secret not in dump


async def test_a_row_pasted_to_another_request_does_not_open(pool: Pool, keyring: Keyring, keys: KeyFile) -> None:
    body, person = notice(), personal()
    event = sealed_event(keyring, body, person)
    other = body.model_copy(update={"request_id": uuid4()})
    async with pool.acquire() as connection:
        await store.record(connection, [new_notice(event, other, person, keyring, bytes_of(1))], NOW)
        (claimed,) = await store.claim(connection, 1, NOW, lease())
    with pytest.raises(ContractError):
        Reader(keys, "https://x").mail(claimed)


def test_what_is_claimed_is_written_to_its_recipient(registry: Registry, keyring: Keyring, keys: KeyFile) -> None:
    renderer, body, person = MailRenderer(registry), notice(), personal()
    claimed = Claimed(
        Key(body.request_id, "acknowledged", "requester", 1), sealed_event(keyring, body, person), NOW, 1, uuid4()
    )
    letter = writer(Reader(keys, "https://x"), renderer)(claimed, NOW)
    assert (letter.sender, letter.recipient) == ("privacy@ale.example", "ana@example.com")
    assert letter.content == renderer.letter(Mail(body, person), NOW).content
