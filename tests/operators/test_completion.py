"""What the shell offers, asked as bash asks it; and the exit codes that a shell sees."""

from pathlib import Path

import pytest

from tests.operators.keyboard import habeas, habeas_process


def offered(line: str) -> set[str]:
    words = line.split(" ")
    said = habeas(_HABEAS_COMPLETE="complete_bash", COMP_WORDS=line, COMP_CWORD=str(len(words) - 1))
    return set(said.out.split())


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("habeas dead", {"dead-letters"}),
        ("habeas clock ", {"show", "advance", "reset"}),
        ("habeas service ", {"intake", "fanout", "collector", "notifier"}),
        ("habeas system pay", {"payments"}),
        ("habeas up --without billing,pay", {"billing,payments"}),
        ("habeas requests --right era", {"erasure"}),
        ("habeas requests --state in_", {"in_progress", "in_review"}),
        ("habeas classify X --regulation ", {"eu-gdpr"}),
        ("habeas plan --regulation eu", {"eu-gdpr"}),
        ("habeas retry X sup", {"support"}),
        ("habeas refuse X --ground acc", {"accounting_records"}),
        ("habeas dead-letters list --reason key_u", {"key_unknown"}),
        ("habeas dead-letters list --system bil", {"billing"}),
    ],
)
def test_names_are_offered(line: str, wanted: set[str]) -> None:
    assert wanted <= offered(line)


def test_nothing_is_offered_where_nothing_fits() -> None:
    assert offered("habeas system z") == set()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shells_script_is_shown(shell: str) -> None:
    assert "_HABEAS_COMPLETE" in habeas(_HABEAS_COMPLETE=f"source_{shell}").out


def test_exit_codes_of_a_process(tmp_path: Path) -> None:
    assert habeas_process("deadline", "--regulation", "eu-gdpr", "--received", "2026-01-31").code == 0
    failed = habeas_process("ps", "--root", str(tmp_path))
    assert (failed.code, failed.err.startswith("habeas: No stack runs")) == (1, True)
    assert habeas_process("status", "what?").code == 2
    away = habeas_process("requests", HABEAS_DATABASE_URL="postgresql://operators:secret@127.0.0.1:1/habeas")
    assert (away.code, away.err.count("\n")) == (3, 1)
    kafka = habeas_process("dead-letters", "list", HABEAS_KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1")
    assert (kafka.code, kafka.err.count("\n")) == (3, 1), kafka.err
