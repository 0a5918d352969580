"""Support's SQLite: people's own words go, also from the file; the words of others stay theirs."""

import shutil
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from habeas.participant import Sqlite
from systems import sample
from systems.support.app import support
from systems.support.store import prepare
from tests.systems.clerk import Clerk, occurrences


@pytest.fixture(scope="module")
async def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("support")
    store = Sqlite(folder / "support.db", prepare=prepare)
    await store.open()
    await store.close()
    return folder


@pytest.fixture
async def clerk(tmp_path: Path, seeded: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Clerk]:
    shutil.copytree(seeded, tmp_path / "support")
    monkeypatch.setenv("HABEAS_DATA_DIR", str(tmp_path / "support"))
    clerk = Clerk(support)
    await clerk.start()
    yield clerk
    await clerk.stop()


async def test_access_tells_own_words_and_marks_those_of_others(clerk: Clerk) -> None:
    someone, other = sample.person(3), sample.person(4)
    reply = await clerk.ask("access", ("email", someone.email.upper()))
    own, *others = reply.personal.records
    assert (own.third_parties, others[0].third_parties) == (False, True)
    assert other.name not in str(own.data)
    assert other.name in str(others[0].data)
    assert reply.did[("support_conversations", "withheld")] == 1
    assert reply.body.outcome == "completed"


async def test_access_for_one_who_joined_tells_their_words_alone(clerk: Clerk) -> None:
    someone, joined = sample.person(3), sample.person(4)
    reply = await clerk.ask("access", ("email", joined.email))
    records = {record.id: record for record in reply.personal.records}
    assert [message["author"] for message in records["conv-000003-1"].data["messages"]] == [joined.name]
    assert records["conv-000003-1/others"].third_parties
    assert someone.name in str(records["conv-000003-1/others"].data)


async def test_erased_words_are_gone_from_the_file_and_others_words_stay(clerk: Clerk, tmp_path: Path) -> None:
    someone, other = sample.person(3), sample.person(4)
    assert occurrences(tmp_path, someone.email)
    before = occurrences(tmp_path, other.name)
    reply = await clerk.ask("erase", ("email", someone.email))
    conversations = len(sample.conversations(3))
    assert reply.did == {
        ("support_conversations", "deleted"): conversations,
        ("support_conversations", "redacted"): 1,
        ("support_conversations", "recipients_notified"): 1,
    }
    assert occurrences(tmp_path, someone.email) == {}
    assert occurrences(tmp_path, someone.name) == {}
    assert occurrences(tmp_path, other.name) == before
    others = (await clerk.ask("access", ("email", other.email))).data("support_conversations")
    assert "[erased] says" in str(others)


async def test_erasing_one_who_joined_leaves_the_conversation(clerk: Clerk, tmp_path: Path) -> None:
    someone, joined = sample.person(3), sample.person(4)
    await clerk.ask("erase", ("email", joined.email))
    assert occurrences(tmp_path, joined.email) == {}
    assert occurrences(tmp_path, joined.name) == {}
    kept = (await clerk.ask("access", ("email", someone.email))).data("support_conversations")
    assert len(kept) == len(sample.conversations(3))


async def test_product_notes_go_with_their_person(clerk: Clerk) -> None:
    someone = sample.person(1)
    assert len((await clerk.ask("access", ("email", someone.email))).data("product_improvement")) == 1
    assert (await clerk.ask("erase", ("email", someone.email))).did[("product_improvement", "deleted")] == 1
    assert (await clerk.ask("access", ("email", someone.email))).body.outcome == "nothing_held"


async def test_who_never_wrote_is_not_held(clerk: Clerk) -> None:
    for email in (sample.person(5).email, "nobody@example.org"):
        for action in ("access", "erase"):
            assert (await clerk.ask(action, ("email", email))).body.outcome == "nothing_held"


async def test_a_restart_does_not_bring_the_erased_back(clerk: Clerk) -> None:
    someone = sample.person(3)
    await clerk.ask("erase", ("email", someone.email))
    await clerk.start()
    assert (await clerk.ask("access", ("email", someone.email))).body.outcome == "nothing_held"


async def test_nobody_else_may_read_the_files(clerk: Clerk, tmp_path: Path) -> None:
    folder = tmp_path / "support"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
