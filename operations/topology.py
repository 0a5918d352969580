"""Topics, principals and ACLs, derived from the names of the participants.

`desired` is the contract's table as a pure function; `apply` makes a cluster so. It only ever adds: what is there and
not desired is reported and left alone, since deleting a topic or an ACL is a decision for a person.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from habeas.contracts import topics as names
from operations.errors import OperationsError, UsageError
from operations.programs import SERVICES

OPERATORS = "operators"
RESERVED = frozenset({*SERVICES, "services", OPERATORS, "broker"})
PARTICIPANT = re.compile(r"[a-z][a-z0-9-]{1,30}")

LONGEST_REGIME = timedelta(days=92)  # three months: one, extended by two (Art. 12(3) GDPR)
KEPT = LONGEST_REGIME + timedelta(days=30)  # of topics and of group offsets
_IN_SYNC = "min.insync.replicas"
TIMEOUT = 30  # seconds for each answer of the cluster

EVERY_ACL = AclBindingFilter(
    ResourceType.ANY, None, ResourcePatternType.ANY, None, None, AclOperation.ANY, AclPermissionType.ANY
)


@dataclass(frozen=True, slots=True, order=True)
class Topic:
    name: str
    compacted: bool = False
    limit: int = names.MESSAGE_LIMIT  # bytes
    in_sync: int = 1  # copies that must have a record before it counts as written

    @property
    def settings(self) -> dict[str, str]:
        kept = (
            {"cleanup.policy": "compact"} if self.compacted else {"cleanup.policy": "delete", "retention.ms": _ms(KEPT)}
        )
        needed = {_IN_SYNC: str(self.in_sync)} if self.in_sync > 1 else {}
        return {**kept, "max.message.bytes": str(self.limit), **needed}


@dataclass(frozen=True, slots=True, order=True)
class Acl:
    """`principal` may `operation` on the topic or group `name`, or on those whose name starts so (`prefixed`)."""

    principal: str
    operation: str  # READ or WRITE; both imply DESCRIBE, and WRITE the idempotent producer
    resource: str  # TOPIC or GROUP
    name: str
    prefixed: bool = False


@dataclass(frozen=True, slots=True)
class Topology:
    topics: tuple[Topic, ...]
    principals: tuple[str, ...]
    acls: tuple[Acl, ...]
    partitions: int = 4
    replication: int = 1

    def as_json(self) -> dict[str, Any]:
        return {
            "topics": [
                {"name": topic.name, "partitions": self.partitions, "settings": topic.settings} for topic in self.topics
            ],
            "principals": list(self.principals),
            "acls": [asdict(acl) for acl in self.acls],
        }


@dataclass(slots=True)
class Changes:
    """What `apply` did, and what it found and left alone."""

    topics: list[str] = field(default_factory=list)
    settings: list[str] = field(default_factory=list)
    principals: list[str] = field(default_factory=list)
    acls: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, list[str]]:
        return asdict(self)

    def __bool__(self) -> bool:
        return bool(self.topics or self.settings or self.principals or self.acls)


class TopologyError(OperationsError):
    """The cluster refused, or could not be reached."""


def desired(portals: Iterable[str], systems: Iterable[str], partitions: int = 4, replication: int = 1) -> Topology:
    """Return what a cluster needs for these participants. Raises UsageError for a name that cannot be one."""
    portals, systems = tuple(portals), tuple(systems)
    _check_names(portals, systems)
    submissions = {name: names.submissions(name) for name in portals}
    status = {name: names.status(name) for name in portals}
    tasks = {name: names.tasks(name) for name in systems}
    results = {name: names.results(name) for name in systems}
    own_dead = {name: names.dead_letters(name) for name in systems}
    commands, decisions, dead = names.COMMANDS, names.DECISIONS, names.DEAD_LETTERS
    requests, progress, outcomes = names.REQUESTS, names.PROGRESS, names.OUTCOMES

    reads: dict[str, list[str]] = {
        "intake": [*submissions.values(), commands],
        "fanout": [requests, progress],
        "collector": [*results.values(), requests, progress, commands],
        "notifier": [outcomes],
        OPERATORS: [decisions, dead, *own_dead.values()],
        **{name: [status[name]] for name in portals},
        **{name: [tasks[name], own_dead[name]] for name in systems},
    }
    writes: dict[str, list[str]] = {
        "intake": [requests, decisions, dead],
        "fanout": [*tasks.values(), progress, dead],
        "collector": [*status.values(), progress, outcomes, decisions, dead],
        "notifier": [progress, dead],
        OPERATORS: [commands],
        **{name: [submissions[name]] for name in portals},
        **{name: [results[name], own_dead[name]] for name in systems},
    }
    topic = partial(Topic, in_sync=2 if replication >= 3 else 1)  # any one broker may be away, and a written record not
    topics = [
        *(topic(name) for name in (*submissions.values(), *tasks.values(), *results.values())),
        *(topic(name) for name in (commands, decisions, requests, progress, outcomes)),
        *(topic(name, compacted=True) for name in status.values()),
        *(topic(name, limit=names.DEAD_LETTER_LIMIT) for name in (dead, *own_dead.values())),
    ]
    acls = [
        *(Acl(principal, "READ", "TOPIC", name) for principal, may in reads.items() for name in may),
        *(Acl(principal, "WRITE", "TOPIC", name) for principal, may in writes.items() for name in may),
        *(Acl(name, "READ", "GROUP", f"habeas.{name}") for name in (*SERVICES, OPERATORS)),
        *(Acl(name, "READ", "GROUP", f"dsr.{name}.", prefixed=True) for name in (*portals, *systems)),
    ]
    return Topology(
        tuple(sorted(topics)), (*SERVICES, OPERATORS, *portals, *systems), tuple(sorted(acls)), partitions, replication
    )


def apply(admin: AdminClient, topology: Topology, passwords: Mapping[str, str]) -> Changes:
    """Make the cluster as `topology` says; blocking. `passwords` are for principals that have no credentials yet.

    Raises TopologyError when the cluster refuses or does not answer.
    """
    changes = Changes()
    try:
        _apply_topics(admin, topology, changes)
        _apply_principals(admin, topology, passwords, changes)
        _apply_acls(admin, topology, changes)
    except KafkaException as error:
        raise TopologyError(f"Kafka refused: {error.args[0].str()}") from error
    return changes


def _apply_topics(admin: AdminClient, topology: Topology, changes: Changes) -> None:
    present = admin.list_topics(timeout=TIMEOUT).topics
    new = [topic for topic in topology.topics if topic.name not in present]
    if new:
        created = admin.create_topics(
            [NewTopic(each.name, topology.partitions, topology.replication, config=each.settings) for each in new]
        )
        _wait(created)
        changes.topics += [topic.name for topic in new]
    old = {topic.name: topic for topic in topology.topics if topic.name in present}
    if not old:
        return
    described = admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, name) for name in old])
    altered, other_partitions, fewer_copies = [], [], []
    for resource, answer in described.items():
        found = answer.result(TIMEOUT)
        topic = old[resource.name]
        entries = []
        copies = min((len(each.replicas) for each in present[topic.name].partitions.values()), default=0)
        if copies < topology.replication:
            fewer_copies.append(topic.name)
        for setting, value in topic.settings.items():
            if setting == _IN_SYNC and copies <= topic.in_sync:
                continue  # nothing could be written as soon as one broker is away, or at all
            if found[setting].value != value:
                entries.append(ConfigEntry(setting, value, incremental_operation=AlterConfigOpType.SET))
                changes.settings.append(f"{topic.name}: {setting} {found[setting].value} → {value}")
        if entries:
            altered.append(ConfigResource(ConfigResource.Type.TOPIC, topic.name, incremental_configs=entries))
        if len(present[topic.name].partitions) != topology.partitions:
            other_partitions.append(topic.name)
    if other_partitions:
        changes.notes.append(
            f"other than {topology.partitions} partitions, left alone, since the next messages of a request would go "
            f"elsewhere: {', '.join(sorted(other_partitions))}"
        )
    if fewer_copies:
        changes.notes.append(
            f"fewer than {topology.replication} copies, left alone with their {_IN_SYNC}; Kafka's own "
            f"kafka-reassign-partitions adds copies, then apply again: {', '.join(sorted(fewer_copies))}"
        )
    if altered:
        _wait(admin.incremental_alter_configs(altered))


def _apply_principals(admin: AdminClient, topology: Topology, passwords: Mapping[str, str], changes: Changes) -> None:
    missing = [name for name, known in _credentials(admin, topology.principals).items() if not known]
    unknown = [name for name in missing if name not in passwords]
    if unknown:
        changes.notes.append(f"no credentials in the cluster and no password given for: {', '.join(sorted(unknown))}")
    new = [name for name in missing if name in passwords]
    if new:
        scram = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        _wait(
            admin.alter_user_scram_credentials(
                [UserScramCredentialUpsertion(name, scram, passwords[name].encode()) for name in new]
            )
        )
        changes.principals += new


def _credentials(admin: AdminClient, principals: Iterable[str]) -> dict[str, bool]:
    """Return for each principal whether it has credentials."""
    known = {}
    for name, answer in admin.describe_user_scram_credentials(list(principals)).items():
        try:
            known[name] = bool(answer.result(TIMEOUT).scram_credential_infos)
        except KafkaException:  # RESOURCE_NOT_FOUND
            known[name] = False
    return known


def _apply_acls(admin: AdminClient, topology: Topology, changes: Changes) -> None:
    wanted = {binding(acl): acl for acl in topology.acls}
    present = set(admin.describe_acls(EVERY_ACL).result(TIMEOUT))
    new = {key: acl for key, acl in wanted.items() if key not in present}
    if new:
        _wait(admin.create_acls(list(new)))
        changes.acls += [show_acl(acl) for acl in new.values()]
        _wait_until_in_force(admin, set(new))
    for other in sorted(present - set(wanted), key=str):
        changes.notes.append(
            f"not in the topology, left alone: {other.principal} {other.permission_type.name} {other.operation.name} "
            f"{other.restype.name} {other.name}"
        )


def _wait_until_in_force(admin: AdminClient, acls: set[AclBinding]) -> None:
    """The controller answers first and the broker follows: ACLs last, so with them come topics and credentials."""
    waited_until = time.monotonic() + TIMEOUT
    while not acls <= set(admin.describe_acls(EVERY_ACL).result(TIMEOUT)):
        if time.monotonic() > waited_until:
            raise TopologyError(
                f"Kafka took the new ACLs, but its broker has not followed for {TIMEOUT} s. Apply again."
            )
        time.sleep(0.02)


def binding(acl: Acl) -> AclBinding:
    """As Kafka's admin client has it."""
    return AclBinding(
        ResourceType[acl.resource],
        acl.name,
        ResourcePatternType.PREFIXED if acl.prefixed else ResourcePatternType.LITERAL,
        f"User:{acl.principal}",
        "*",
        AclOperation[acl.operation],
        AclPermissionType.ALLOW,
    )


def show_acl(acl: Acl) -> str:
    return f"{acl.principal} {acl.operation} {acl.resource} {acl.name}{'*' if acl.prefixed else ''}"


def _wait(answers: Mapping[Any, Future[Any]]) -> None:
    for answer in answers.values():
        answer.result(TIMEOUT)


def _ms(duration: timedelta) -> str:
    return str(int(duration.total_seconds() * 1000))


def _check_names(portals: tuple[str, ...], systems: tuple[str, ...]) -> None:
    seen: set[str] = set()
    for name in (*portals, *systems):
        if not PARTICIPANT.fullmatch(name):
            raise UsageError(
                f"{name!r} cannot be a participant's name: 2 to 31 of a-z, 0-9 and -, starting with a letter."
            )
        if name in RESERVED:
            raise UsageError(f"{name!r} cannot be a participant's name: it is one of Habeas's own.")
        if name in seen:
            raise UsageError(f"{name!r} is named twice: portals and systems share one set of names.")
        seen.add(name)


def participants(registry: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the portals and of the systems in a registry file."""
    from shared.registry import load_registry  # noqa: PLC0415 - reads the law as well; whoever only applies needs none

    found = load_registry(registry)
    return tuple(found.portals), tuple(found.systems)
