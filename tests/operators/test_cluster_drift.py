"""`habeas topology show --diff`: what a cluster lacks, has otherwise, and has beyond what the registry asks for."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from confluent_kafka.admin import AclBinding, AclOperation, AclPermissionType, ResourcePatternType, ResourceType
from stand import Stand

from operations.inspect.drift import Difference, Present, difference
from operations.topology import Topology, binding, desired
from tests.core.fixtures import new_topics
from tests.operators.keyboard import Said, habeas

__all__ = ["new_topics"]

WANTED = desired(("web",), ("billing",))
REGISTRY = Path(__file__).parents[2] / "registry" / "ale.toml"


def present(topology: Topology = WANTED) -> Present:
    """A cluster that is as wanted."""
    return Present(
        topics={topic.name: {**topic.settings, "segment.bytes": "1"} for topic in topology.topics},
        partitions={topic.name: 4 for topic in topology.topics},
        replicas={topic.name: 1 for topic in topology.topics},
        principals=frozenset(topology.principals) | {"broker", "somebody-else"},
        acls=frozenset(map(binding, topology.acls)),
    )


def acl(principal: str, name: str, kind: str = "TOPIC", pattern: str = "LITERAL", deny: bool = False) -> AclBinding:
    return AclBinding(
        ResourceType[kind],
        name,
        ResourcePatternType[pattern],
        f"User:{principal}",
        "*",
        AclOperation.READ,
        AclPermissionType.DENY if deny else AclPermissionType.ALLOW,
    )


def test_a_cluster_as_wanted_differs_in_nothing() -> None:
    assert difference(WANTED, present()) == []
    assert difference(WANTED, present(), partitions=4, replication=1) == []


def test_what_is_missing() -> None:
    bigger = desired(("web",), ("billing", "newcomer"))
    found = difference(bigger, present())
    assert {each.kind for each in found} == {"missing"}
    assert {(each.what, each.name) for each in found if each.what != "acl"} == {
        *(("topic", f"dsr.system.newcomer.{name}.v1") for name in ("tasks", "results", "dead-letters")),
        ("principal", "newcomer"),
    }
    assert "newcomer READ TOPIC dsr.system.newcomer.tasks.v1" in {each.name for each in found}
    assert "newcomer READ GROUP dsr.newcomer.*" in {each.name for each in found}


def test_what_is_left_of_a_participant_that_is_gone() -> None:
    found = difference(desired(("web",), ()), present())
    assert {each.kind for each in found} == {"extra"}
    assert Difference("extra", "principal", "billing") in found
    assert Difference("extra", "topic", "dsr.system.billing.tasks.v1") in found
    assert Difference("extra", "acl", "billing READ GROUP dsr.billing.*") in found


def test_other_settings() -> None:
    cluster = present()
    cluster = replace(cluster, topics={**cluster.topics, "dsr.commands.v1": {"cleanup.policy": "compact"}})
    found = {each.name: (each.kind, each.wanted, each.found) for each in difference(WANTED, cluster)}
    assert found == {
        "dsr.commands.v1 cleanup.policy": ("other", "delete", "compact"),
        "dsr.commands.v1 retention.ms": ("other", str(122 * 86_400_000), None),
        "dsr.commands.v1 max.message.bytes": ("other", "1048576", None),
    }


def test_partitions_and_copies_count_only_if_they_are_named() -> None:
    cluster = replace(present(), partitions={topic.name: 2 for topic in WANTED.topics})
    assert difference(WANTED, cluster) == []
    assert {each.found for each in difference(WANTED, cluster, partitions=4)} == {"2"}
    assert len(difference(WANTED, cluster, replication=3)) == len(WANTED.topics)


def test_with_three_copies_two_must_have_a_record() -> None:
    three = desired(("web",), ("billing",), replication=3)
    cluster = present(three)
    assert difference(three, cluster) == []
    loose = {name: {**settings, "min.insync.replicas": "1"} for name, settings in cluster.topics.items()}
    found = difference(three, replace(cluster, topics=loose))
    assert {(each.kind, each.wanted, each.found) for each in found} == {("other", "2", "1")}
    assert [each.name for each in found] == [f"{topic.name} min.insync.replicas" for topic in three.topics]


@pytest.mark.parametrize(
    ("extra", "shown"),
    [
        (acl("mallory", "dsr.commands.v1"), "mallory READ TOPIC dsr.commands.v1"),
        (acl("mallory", "*"), "mallory READ TOPIC *"),
        (acl("mallory", "d", pattern="PREFIXED"), "mallory READ TOPIC d*"),
        (acl("mallory", "habeas.intake", "GROUP"), "mallory READ GROUP habeas.intake"),
        (acl("billing", "orders"), "billing READ TOPIC orders"),
        (acl("web", "dsr.commands.v1", deny=True), "web DENY READ TOPIC dsr.commands.v1"),
    ],
)
def test_acls_that_reach_us_are_extra(extra: AclBinding, shown: str) -> None:
    cluster = present()
    found = difference(
        WANTED, replace(cluster, acls={*cluster.acls, extra}, principals={*cluster.principals, "mallory"})
    )
    expected = [Difference("extra", "acl", shown)]
    if "mallory" in shown:
        expected.insert(0, Difference("extra", "principal", "mallory"))
    assert found == expected


@pytest.mark.parametrize(
    "others", [acl("shop", "orders"), acl("shop", "shop.", "GROUP", "PREFIXED"), acl("shop", "kafka-cluster", "BROKER")]
)
def test_other_peoples_acls_are_their_own_business(others: AclBinding) -> None:
    cluster = present()
    assert difference(WANTED, replace(cluster, acls={*cluster.acls, others})) == []


async def ask(stand: Stand, *arguments: str) -> Said:
    run = partial(habeas, "topology", "show", "--diff", "--root", str(stand.root), *arguments)
    return await asyncio.to_thread(run)


async def test_the_local_stack_against_its_own_registry(
    stand: Stand, new_topics: Callable[..., Awaitable[list[str]]]
) -> None:
    (stray,) = await new_topics("stray")
    said = await ask(stand, "--json")
    assert said.code == 1
    answer = json.loads(said.out)
    assert answer["differs"] is True
    assert {each["kind"] for each in answer["differences"]} == {"extra"}
    assert stray in {each["name"] for each in answer["differences"] if each["what"] == "topic"}
    assert f"extra    topic      {stray}\n" in (await ask(stand)).out


async def test_the_local_stack_against_another_registry(stand: Stand, tmp_path: Path) -> None:
    changed = tmp_path / "registry.toml"
    changed.write_text(REGISTRY.read_text().replace("[portals.web", "[portals.kiosk"))
    said = await ask(stand, "--json", "--registry", str(changed), "--partitions", "64")
    found = {(each["kind"], each["what"], each["name"]) for each in json.loads(said.out)["differences"]}
    assert said.code == 1
    assert ("missing", "topic", "dsr.portal.kiosk.status.v1") in found
    assert ("missing", "principal", "kiosk") in found
    assert ("missing", "acl", "kiosk WRITE TOPIC dsr.portal.kiosk.submissions.v1") in found
    assert ("other", "setting", "dsr.commands.v1 partitions") in found
    assert ("extra", "topic", "dsr.portal.web.status.v1") in found
    assert ("extra", "principal", "web") in found
    assert ("extra", "acl", "web READ TOPIC dsr.portal.web.status.v1") in found


def test_without_a_cluster_it_says_what_to_do(tmp_path: Path) -> None:
    said = habeas("topology", "show", "--diff", "--root", str(tmp_path))
    assert (said.code, "habeas up" in said.err) == (2, True)
    assert habeas("topology", "show", "--root", str(tmp_path)).code == 0


async def test_a_principal_that_may_not_look_is_told(stand: Stand) -> None:
    said = await asyncio.to_thread(partial(habeas, "topology", "show", "--diff", **stand.env("web")))
    assert said.code == 1
    assert "may this principal describe the cluster" in said.words
