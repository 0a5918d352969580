"""Each program is told what it needs and holds no one else's secrets."""

import base64
import json
import stat

import dotenv
import pytest

from operations.stack import Stack
from operations.stack.folder import dotenv as as_dotenv

NAMES = [
    "intake",
    "fanout",
    "collector",
    "notifier",
    "billing",
    "support",
    "analytics",
    "payments",
    "web",
    "helpdesk",
    "operators",
]
PORTALS, SYSTEMS = {"web", "helpdesk"}, {"billing", "support", "analytics", "payments"}
HOLDINGS = {
    "intake": {"services", "operators"} | PORTALS,
    "fanout": {"services", "operators"} | SYSTEMS,
    "collector": {"services", "operators"} | SYSTEMS,
    "notifier": {"services", "operators"},
    "operators": {"services", "operators"} | SYSTEMS | PORTALS,
    **{name: {name} for name in PORTALS | SYSTEMS},
}


@pytest.mark.parametrize("name", NAMES)
def test_files(infrastructure: Stack, name: str) -> None:
    file = infrastructure.root / "env" / name
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert dotenv.dotenv_values(file) == infrastructure.env(name)


@pytest.mark.parametrize("name", NAMES)
def test_nobody_holds_the_secret_of_another(infrastructure: Stack, name: str) -> None:
    def secrets(which: str) -> set[str]:
        variables = infrastructure.env(which)
        database = variables.get("HABEAS_DATABASE_URL", "").partition("@")[0].rpartition(":")[2]
        return {variables["HABEAS_KAFKA_SASL_PASSWORD"], database} - {""}

    others = set().union(*(secrets(other) for other in NAMES if other != name))
    assert not others & secrets(name)
    assert infrastructure.env(name)["HABEAS_KAFKA_SASL_USERNAME"] == name


@pytest.mark.parametrize("name", NAMES)
def test_keys(infrastructure: Stack, name: str) -> None:
    path = infrastructure.root / "keys" / f"{name}.json"
    assert infrastructure.env(name)["HABEAS_KEYS"] == str(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    keys = json.loads(path.read_text())["keys"]
    assert {key["kid"] for key in keys} == {f"{owner}/1" for owner in HOLDINGS[name]}
    for key in keys:
        assert (key["kty"], key["nbf"]) == ("oct", 0)
        assert len(base64.urlsafe_b64decode(key["k"] + "=")) == 32


def test_who_is_told_what(infrastructure: Stack) -> None:
    def told(variable: str) -> set[str]:
        return {name for name in NAMES if variable in infrastructure.env(name)}

    services = {"intake", "fanout", "collector", "notifier"}
    assert told("HABEAS_DATABASE_URL") == services | {"operators", "billing"}
    assert told("HABEAS_REGISTRY") == services | {"operators"}
    assert told("HABEAS_SMTP_URL") == {"notifier"}
    assert told("HABEAS_STORE_URL") == {"collector", "notifier", "operators"}
    assert told("HABEAS_PROCESSOR_URL") == {"billing", "payments"}
    assert told("HABEAS_HTTP_PORT") == services | SYSTEMS


def test_values_with_spaces_survive_the_file() -> None:
    values = {"HABEAS_KEYS": "/a folder/it's #1", "HABEAS_X": "plain"}
    import io

    assert dotenv.dotenv_values(stream=io.StringIO(as_dotenv(values)), interpolate=False) == values
