"""Settings name what is missing and never show a secret; an install stays small; a journal has one holder."""

import hashlib
import os
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from habeas.contracts.catalogue import read, read_personal
from habeas.contracts.dead_letter import DeadLetter, RawRecord
from habeas.contracts.errors import ContractError, Reason
from habeas.contracts.sealing import Place
from habeas.dead_letters import dead_letter
from habeas.participant import ParticipantSettings
from habeas.settings import KafkaSettings, SettingsError, load
from tests.participant.tasks import a_keyring
from tests.participant.toys import journal_kit


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("HABEAS_")]:
        monkeypatch.delenv(name)


def test_each_missing_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match=r"^set HABEAS_KAFKA_BOOTSTRAP_SERVERS$"):
        load(KafkaSettings)
    with pytest.raises(SettingsError, match=r"^set HABEAS_KEYS$"):
        load(ParticipantSettings)
    monkeypatch.setenv("HABEAS_KAFKA_BOOTSTRAP_SERVERS", "kafka:9092")
    monkeypatch.setenv("HABEAS_KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
    monkeypatch.setenv("HABEAS_KAFKA_SASL_PASSWORD", "not to be shown")
    with pytest.raises(SettingsError, match="HABEAS_KAFKA_SASL_USERNAME") as caught:
        load(KafkaSettings)
    assert "not to be shown" not in str(caught.value)


def test_a_wrong_setting_is_named_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HABEAS_KEYS", "keys.json")
    monkeypatch.setenv("HABEAS_HTTP_PORT", "eighty")
    with pytest.raises(SettingsError, match=r"^correct HABEAS_HTTP_PORT: ") as caught:
        load(ParticipantSettings)
    assert "eighty" not in str(caught.value)


def test_clients_get_the_credentials_and_nothing_prints_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "BOOTSTRAP_SERVERS": "kafka:9092",
        "SECURITY_PROTOCOL": "SASL_SSL",
        "SASL_USERNAME": "billing",
        "SASL_PASSWORD": "secret",
    }.items():
        monkeypatch.setenv(f"HABEAS_KAFKA_{name}", value)
    settings = load(KafkaSettings)
    options = settings.client_options()
    assert (options["sasl_mechanism"], options["sasl_plain_password"]) == ("SCRAM-SHA-512", "secret")
    assert options["ssl_context"].check_hostname
    assert "secret" not in repr(settings)


def test_plaintext_needs_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HABEAS_KAFKA_BOOTSTRAP_SERVERS", "kafka:9092")
    assert load(KafkaSettings).client_options() == {
        "bootstrap_servers": "kafka:9092",
        "security_protocol": "PLAINTEXT",
    }


def test_the_library_needs_no_driver_until_a_store_does() -> None:
    check = "import sys, habeas.participant; sys.exit(bool({'asyncpg', 'faststream', 'aiohttp'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


async def test_a_journal_has_one_holder(tmp_path: Path) -> None:
    kit = journal_kit(tmp_path)
    first, second = kit.store(), kit.store()
    await first.open()
    with pytest.raises(sqlite3.OperationalError, match="locked") as caught:
        await second.open()
    assert second.unavailable(caught.value)
    await second.close()
    await first.close()
    await second.open()
    await second.close()


def test_a_record_of_too_many_headers_is_a_dead_letter_without_them() -> None:
    keyring = a_keyring("toy")
    headers = [("h", None)] * 300_000
    record = SimpleNamespace(topic="t", partition=1, offset=2, timestamp=-1, key=b"\xff", value=b"v", headers=headers)
    letters = [
        dead_letter(
            record,
            ContractError(Reason.NOT_JSON),
            keyring=keyring,
            reader="toy",
            refused_by="toy",
            now=datetime.now(UTC),
        )
        for _ in range(2)
    ]
    assert letters[0].id == letters[1].id == letters[0].subject
    body = read(letters[0], DeadLetter)
    assert "headers were too many" in body.detail
    raw = read_personal(keyring, Place("toy", DeadLetter.TYPE, body.dead_letter_id), body.personal, RawRecord)
    assert raw.restored() == (b"\xff", b"v", [])


def test_a_record_that_was_larger_than_any_dead_letter_is_one_without_its_value() -> None:
    """Kafka's limits hold for what was compressed: unpacked it can be of any size, and must not stop its partition."""
    keyring = a_keyring("toy")
    value = b" " * 3_000_000
    record = SimpleNamespace(topic="t", partition=1, offset=2, timestamp=-1, key=b"k", value=value, headers=[])
    error = ContractError(Reason.TOO_LARGE)
    letter = dead_letter(record, error, keyring=keyring, reader="toy", refused_by="toy", now=datetime.now(UTC))
    body = read(letter, DeadLetter)
    assert (body.reason, body.bytes) == (Reason.TOO_LARGE, len(value))
    assert hashlib.sha256(value).hexdigest() in body.detail
    raw = read_personal(keyring, Place("toy", DeadLetter.TYPE, body.dead_letter_id), body.personal, RawRecord)
    assert raw.restored() == (b"k", None, [])
