"""What the generator makes: whole environments, to each its own, and the same ones the next time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from dotenv import dotenv_values
from pydantic_settings import BaseSettings

from habeas.contracts import KeyFile
from habeas.settings import KafkaSettings
from operations.compose import places
from operations.compose.secrets import KEY, Outside, generate, hand_out
from operations.errors import UsageError
from operations.programs import SERVICES, SYSTEMS
from operations.stack.stack import REGISTRY
from operations.topology import OPERATORS, participants
from services.collector.app import CollectorSettings
from services.notifier.app import NotifierSettings
from shared.settings import ServiceSettings
from systems.payments.settings import ProcessorSettings, ServerSettings

OUTSIDE = Outside("127.0.0.1:19092", "http://127.0.0.1:18080")
OWN_SETTINGS: dict[str, tuple[type[BaseSettings], ...]] = {
    **dict.fromkeys(SERVICES, (ServiceSettings, KafkaSettings)),
    "collector": (CollectorSettings, KafkaSettings),
    "notifier": (NotifierSettings, KafkaSettings),
    "payments": (KafkaSettings, ProcessorSettings),
    places.PROCESSOR: (ServerSettings,),
}


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    for folder in places.folders(tmp_path, SYSTEMS):
        folder.mkdir(parents=True, exist_ok=True)
    generate(tmp_path / "secrets", REGISTRY, OUTSIDE)
    return tmp_path / "secrets"


def env(secrets: Path, name: str) -> dict[str, str]:
    return {key: value or "" for key, value in dotenv_values(secrets / name / "env" / name).items()}


@pytest.mark.parametrize("name", [*SERVICES, *SYSTEMS, OPERATORS, places.PROCESSOR])
def test_everyone_gets_a_whole_environment(secrets: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in env(secrets, name).items():
        monkeypatch.setenv(variable, value)
    for settings in OWN_SETTINGS.get(name, (KafkaSettings,)):
        settings()
    if name != places.PROCESSOR:
        assert env(secrets, name)["HABEAS_KAFKA_BOOTSTRAP_SERVERS"] == "kafka:9092"
        assert env(secrets, name)["HABEAS_KEYS"] == f"/habeas/.habeas/keys/{name}.json"
        KeyFile(secrets / name / "keys" / f"{name}.json").keyring()
    if name in (*SERVICES, *SYSTEMS):
        assert env(secrets, name)["HABEAS_HTTP_PORT"] == "8080"


def test_paths_lie_where_volumes_are_mounted(secrets: Path) -> None:
    assert env(secrets, "collector")["HABEAS_STORE_URL"] == places.STORE.as_uri()
    assert env(secrets, "support")["HABEAS_DATA_DIR"] == str(places.DATA)
    assert env(secrets, "notifier")["HABEAS_SMTP_URL"] == "smtp://mail:1025"
    assert env(secrets, "billing")["HABEAS_DATABASE_URL"].endswith("@postgres:5432/billing")


def test_nobody_finds_what_is_anothers(secrets: Path) -> None:
    known = json.loads((secrets / places.VAULT / "secrets.json").read_text())
    for name in (*SERVICES, *SYSTEMS, places.PROCESSOR):
        files = [path.read_text() for path in (secrets / name).rglob("*") if path.is_file()]
        for other, password in known["kafka"].items():
            assert any(password in text for text in files) == (other == name), (name, other)
        for other, password in known["postgres"].items():
            assert any(password in text for text in files) <= (other == name), (name, other)
        held = [path.name for path in (secrets / name / "keys").glob("*")] if name != places.PROCESSOR else []
        assert held == ([f"{name}.json"] if held else [])


def test_kafka_listens_inside_and_for_programs_outside_and_lets_in_nobody_unknown(secrets: Path) -> None:
    lines = (secrets / "kafka" / "server.properties").read_text().splitlines()
    settings = dict(line.split("=", 1) for line in lines)
    assert settings["listeners"] == "CLIENT://:9092,OUTSIDE://:9094,CONTROLLER://127.0.0.1:9093"
    assert settings["advertised.listeners"] == "CLIENT://kafka:9092,OUTSIDE://127.0.0.1:19092"
    assert "PLAINTEXT" not in settings["listener.security.protocol.map"].replace("SASL_PLAINTEXT", "")
    assert settings["allow.everyone.if.no.acl.found"] == "false"
    for listener in ("client", "outside"):
        assert f"listener.name.{listener}.scram-sha-512.sasl.jaas.config" in settings


def test_files_are_for_their_owner_or_the_shared_group_alone(secrets: Path) -> None:
    for path in secrets.rglob("*"):
        if path.is_file():
            shared = path.parent.name == "kafka" or path.name == "password"
            assert path.stat().st_mode & 0o777 == (0o640 if shared else 0o600), path


def test_a_second_run_changes_nothing(secrets: Path) -> None:
    before = {path: path.read_text() for path in secrets.rglob("*") if path.is_file()}
    generate(secrets, REGISTRY, OUTSIDE)
    assert {path: path.read_text() for path in secrets.rglob("*") if path.is_file()} == before


def test_what_is_handed_out_is_the_portals_and_operators_by_addresses_outside(secrets: Path) -> None:
    handed = hand_out(secrets, REGISTRY, OUTSIDE)
    assert set(handed) == {*participants(REGISTRY)[0], OPERATORS, places.PROCESSOR}
    assert handed["web"]["env"]["HABEAS_KAFKA_BOOTSTRAP_SERVERS"] == "127.0.0.1:19092"
    assert not [key for each in handed.values() for key in each["env"] if "DATABASE" in key]
    assert [key["kid"] for key in handed["web"]["keys"]["keys"]] == ["web/1"]
    assert handed[places.PROCESSOR]["env"][KEY] == env(secrets, "payments")[KEY]


def test_nothing_is_handed_out_before_it_was_generated(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="docker compose up"):
        hand_out(tmp_path, REGISTRY, OUTSIDE)
