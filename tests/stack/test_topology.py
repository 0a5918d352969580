"""The contract's table as topics and ACLs."""

import pytest

from operations.errors import UsageError
from operations.stack import Stack
from operations.stack.kafka import admin_client
from operations.topology import Acl, apply, desired, participants

PORTALS, SYSTEMS = ("web",), ("billing", "support")


def test_the_table() -> None:
    topology = desired(PORTALS, SYSTEMS)
    assert {topic.name for topic in topology.topics} == {
        "dsr.portal.web.submissions.v1",
        "dsr.portal.web.status.v1",
        *(f"dsr.system.{name}.{kind}.v1" for name in SYSTEMS for kind in ("tasks", "results", "dead-letters")),
        *(f"dsr.{name}.v1" for name in ("commands", "decisions", "requests", "progress", "outcomes", "dead-letters")),
    }
    assert {topic.name for topic in topology.topics if topic.compacted} == {"dsr.portal.web.status.v1"}
    assert {topic.name for topic in topology.topics if topic.limit > 1_048_576} == {
        "dsr.dead-letters.v1",
        "dsr.system.billing.dead-letters.v1",
        "dsr.system.support.dead-letters.v1",
    }
    days = {topic.settings.get("retention.ms") for topic in topology.topics if not topic.compacted}
    assert days == {str(122 * 24 * 3600 * 1000)}


@pytest.mark.parametrize(("replication", "in_sync"), [(1, None), (2, None), (3, "2"), (5, "2")])
def test_a_record_counts_as_written_when_two_of_three_copies_have_it(replication: int, in_sync: str | None) -> None:
    topology = desired(PORTALS, SYSTEMS, replication=replication)
    assert {topic.settings.get("min.insync.replicas") for topic in topology.topics} == {in_sync}


def test_a_participant_is_told_nothing_of_another() -> None:
    for name in (*PORTALS, *SYSTEMS):
        own = [acl for acl in desired(PORTALS, SYSTEMS).acls if acl.principal == name]
        assert all(f".{name}." in acl.name for acl in own)
        assert [acl for acl in own if acl.prefixed] == [Acl(name, "READ", "GROUP", f"dsr.{name}.", prefixed=True)]


def test_every_topic_has_a_writer_and_a_reader_and_only_dead_letters_have_one_that_is_both() -> None:
    topology = desired(PORTALS, SYSTEMS)
    for topic in topology.topics:
        writers, readers = (
            {acl.principal for acl in topology.acls if (acl.name, acl.operation) == (topic.name, operation)}
            for operation in ("WRITE", "READ")
        )
        assert writers
        assert readers
        if "dead-letters" not in topic.name and topic.name != "dsr.progress.v1":
            assert not writers & readers


@pytest.mark.parametrize("name", ["Billing", "b", "9lives", "a.b", "x" * 32, "intake", "operators", "broker", "web"])
def test_names_that_cannot_be(name: str) -> None:
    with pytest.raises(UsageError):
        desired(["web"], [name])


def test_applying_twice_changes_nothing_and_a_newcomer_is_added(infrastructure: Stack) -> None:
    portals, systems = participants(infrastructure.registry)
    admin = admin_client(infrastructure.env("operators"))
    again = apply(admin, desired(portals, systems, 2), {})
    assert not again
    assert again.notes == []
    grown = desired(portals, (*systems, "newcomer"), 2)
    changes = apply(admin, grown, {"newcomer": "secret"})
    assert changes.topics == [f"dsr.system.newcomer.{kind}.v1" for kind in ("dead-letters", "results", "tasks")]
    assert changes.principals == ["newcomer"]
    assert changes.settings == []
    assert all("newcomer" in acl for acl in changes.acls)
    assert not apply(admin, grown, {"newcomer": "another"})
    # Without it again: nothing is taken away, but it is said.
    fewer = apply(admin, desired(portals, systems, 2), {})
    assert not fewer
    assert any("newcomer" in note for note in fewer.notes)


def test_what_has_one_copy_does_not_wait_for_a_second(infrastructure: Stack) -> None:
    """Nobody could write to it any more."""
    portals, systems = participants(infrastructure.registry)
    admin = admin_client(infrastructure.env("operators"))
    changes = apply(admin, desired(portals, systems, 2, replication=3), {})
    assert changes.settings == []
    assert any(note.startswith("fewer than 3 copies") and "dsr.requests.v1" in note for note in changes.notes)
