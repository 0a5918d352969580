"""How a cluster differs from what the registry asks for. Looks and changes nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AclBinding, AdminClient, ConfigResource

from operations.topology import EVERY_ACL, TIMEOUT, Topology, TopologyError, binding, show_acl

OURS = ("dsr.", "habeas.")
"""How the names of our topics and groups begin; what else a cluster holds is none of our business."""
_PREFIX = "User:"


@dataclass(frozen=True, slots=True)
class Present:
    """What the cluster has."""

    topics: Mapping[str, Mapping[str, str]]
    """Name to settings; those that are wanted have all of theirs."""
    partitions: Mapping[str, int]
    replicas: Mapping[str, int]
    principals: Collection[str]
    """With SCRAM credentials."""
    acls: Collection[AclBinding]


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that differs. `kind`: missing, other or extra."""

    kind: str
    what: str
    """topic, setting, principal or acl."""
    name: str
    wanted: str | None = None
    found: str | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def look(admin: AdminClient, topology: Topology) -> Present:
    """Ask the cluster; blocking. Raises TopologyError when it refuses or does not answer."""
    try:
        listed = admin.list_topics(timeout=TIMEOUT).topics
        ours = [name for name in listed if name.startswith(OURS)]
        described = admin.describe_configs(
            [ConfigResource(ConfigResource.Type.TOPIC, topic.name) for topic in topology.topics if topic.name in listed]
        )
        settings: dict[str, Mapping[str, str]] = {name: {} for name in ours}
        for resource, answer in described.items():
            settings[resource.name] = {name: entry.value for name, entry in answer.result(TIMEOUT).items()}
        known = admin.describe_user_scram_credentials().result(TIMEOUT)
        return Present(
            topics=settings,
            partitions={name: len(listed[name].partitions) for name in ours},
            replicas={
                name: min((len(part.replicas) for part in listed[name].partitions.values()), default=0) for name in ours
            },
            principals=frozenset(known),
            acls=frozenset(admin.describe_acls(EVERY_ACL).result(TIMEOUT)),
        )
    except KafkaException as error:
        raise TopologyError(
            f"Kafka did not tell ({error.args[0].str()}). Is the stack up (`habeas ps`), and may this principal "
            "describe the cluster?"
        ) from None


def difference(
    topology: Topology, present: Present, partitions: int | None = None, replication: int | None = None
) -> list[Difference]:
    """What is missing, what is otherwise and what is more than wanted, in this order.

    Numbers of partitions and replicas are the cluster's own business unless they are given. An ACL counts if it is
    about a topic or group of ours, or lets one of our principals do something; a principal counts if it is wanted, or
    if such an ACL lets it do something.
    """
    found: list[Difference] = []
    wanted_topics = {topic.name: topic for topic in topology.topics}
    found += [Difference("missing", "topic", name) for name in wanted_topics if name not in present.topics]
    found += [
        Difference("missing", "principal", name) for name in topology.principals if name not in present.principals
    ]
    wanted_acls = {binding(acl): acl for acl in topology.acls}
    found += [
        Difference("missing", "acl", show_acl(acl)) for key, acl in wanted_acls.items() if key not in present.acls
    ]
    for name, topic in wanted_topics.items():
        if name in present.topics:
            wanted: dict[str, str] = dict(topic.settings)
            has: dict[str, str | None] = {key: present.topics[name].get(key) for key in wanted}
            if partitions is not None:
                wanted["partitions"], has["partitions"] = str(partitions), str(present.partitions[name])
            if replication is not None:
                wanted["replicas"], has["replicas"] = str(replication), str(present.replicas[name])
            found += [
                Difference("other", "setting", f"{name} {key}", value, has[key])
                for key, value in wanted.items()
                if has[key] != value
            ]
    found += [Difference("extra", "topic", name) for name in sorted(present.topics) if name not in wanted_topics]
    extra = [acl for acl in present.acls if acl not in wanted_acls and _concerns_us(acl, topology)]
    others = {acl.principal.removeprefix(_PREFIX) for acl in extra} - set(topology.principals)
    found += [Difference("extra", "principal", name) for name in sorted(others & set(present.principals))]
    found += [Difference("extra", "acl", text) for text in sorted(_shown(acl) for acl in extra)]
    return found


def _concerns_us(acl: AclBinding, topology: Topology) -> bool:
    if acl.principal.removeprefix(_PREFIX) in topology.principals:
        return True
    if acl.restype.name not in {"TOPIC", "GROUP"}:
        return False
    if acl.resource_pattern_type.name == "PREFIXED":
        return any(acl.name.startswith(prefix) or prefix.startswith(acl.name) for prefix in OURS)
    return bool(acl.name == "*" or acl.name.startswith(OURS))


def _shown(acl: AclBinding) -> str:
    """As `show_acl`, with what only a foreign one can say: a denial, a host."""
    principal = acl.principal.removeprefix(_PREFIX)
    denied = "" if acl.permission_type.name == "ALLOW" else f" {acl.permission_type.name}"
    rest = "*" if acl.resource_pattern_type.name == "PREFIXED" else ""
    host = "" if acl.host == "*" else f" from {acl.host}"
    return f"{principal}{denied} {acl.operation.name} {acl.restype.name} {acl.name}{rest}{host}"
