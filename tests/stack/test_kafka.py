"""Who may do what in Kafka, asked of a real broker by a real client."""

from collections.abc import Mapping

import confluent_kafka
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
)
from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from operations.programs import SERVICES
from operations.stack import Stack

EVERYTHING_READ = KafkaError._PARTITION_EOF
SUBMISSIONS = "dsr.portal.web.submissions.v1"
OTHER_SUBMISSIONS = "dsr.portal.helpdesk.submissions.v1"
STATUS = "dsr.portal.web.status.v1"
TASKS = "dsr.system.billing.tasks.v1"
RESULTS = "dsr.system.billing.results.v1"
OTHER_TASKS = "dsr.system.support.tasks.v1"
OTHER_RESULTS = "dsr.system.support.results.v1"
DEAD_LETTERS = "dsr.dead-letters.v1"
OWN_DEAD_LETTERS = "dsr.system.billing.dead-letters.v1"


def client(variables: Mapping[str, str], **changed: str) -> dict[str, str]:
    return {
        "bootstrap_servers": variables["HABEAS_KAFKA_BOOTSTRAP_SERVERS"],
        "security_protocol": variables["HABEAS_KAFKA_SECURITY_PROTOCOL"],
        "sasl_mechanism": variables["HABEAS_KAFKA_SASL_MECHANISM"],
        "sasl_plain_username": variables["HABEAS_KAFKA_SASL_USERNAME"],
        "sasl_plain_password": variables["HABEAS_KAFKA_SASL_PASSWORD"],
        **changed,
    }


async def write(stack: Stack, name: str, topic: str, value: bytes = b"{}", limit: int = 1_048_576) -> None:
    producer = AIOKafkaProducer(**client(stack.env(name)), enable_idempotence=True, max_request_size=limit)
    await producer.start()
    try:
        await producer.send_and_wait(topic, value, key=b"a request")
    finally:
        await producer.stop()


def librdkafka(variables: Mapping[str, str], **more: str | bool | int) -> dict[str, str | bool | int]:
    return {
        "bootstrap.servers": variables["HABEAS_KAFKA_BOOTSTRAP_SERVERS"],
        "security.protocol": variables["HABEAS_KAFKA_SECURITY_PROTOCOL"],
        "sasl.mechanism": variables["HABEAS_KAFKA_SASL_MECHANISM"],
        "sasl.username": variables["HABEAS_KAFKA_SASL_USERNAME"],
        "sasl.password": variables["HABEAS_KAFKA_SASL_PASSWORD"],
        "log_level": 0,
        **more,
    }


def read(stack: Stack, name: str, topic: str) -> int | None:
    """Fetch from the topic's first offset, return the first answer's error, None for a record.

    librdkafka tells a denial at once; aiokafka's consumer goes on asking.
    """
    group = f"habeas.{name}" if name in SERVICES else f"dsr.{name}.test"
    settings = librdkafka(stack.env(name), **{"group.id": group, "enable.partition.eof": True})
    consumer = Consumer({**settings, "enable.auto.commit": False, "fetch.message.max.bytes": 2_097_152})
    denied = consumer.list_topics(topic, timeout=10).topics[topic].error
    if denied is not None:
        consumer.close()
        return int(denied.code())
    consumer.assign([confluent_kafka.TopicPartition(topic, 0, 0)])
    message = consumer.poll(10)
    consumer.close()
    assert message is not None, "neither a record nor an error in ten seconds"
    return message.error() and message.error().code()


async def commit(stack: Stack, name: str, group: str, topic: str) -> None:
    consumer = AIOKafkaConsumer(**client(stack.env(name)), group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, 0)])
        await consumer.commit({TopicPartition(topic, 0): 0})
    finally:
        await consumer.stop()


@pytest.mark.parametrize(
    ("name", "topic"),
    [
        ("web", SUBMISSIONS),
        ("billing", RESULTS),
        ("billing", OWN_DEAD_LETTERS),
        ("intake", "dsr.requests.v1"),
        ("intake", "dsr.decisions.v1"),
        ("intake", DEAD_LETTERS),
        ("fanout", TASKS),
        ("fanout", "dsr.progress.v1"),
        ("collector", STATUS),
        ("collector", "dsr.outcomes.v1"),
        ("notifier", "dsr.progress.v1"),
        ("operators", "dsr.commands.v1"),
    ],
)
async def test_may_write(infrastructure: Stack, name: str, topic: str) -> None:
    await write(infrastructure, name, topic)


@pytest.mark.parametrize(
    ("name", "topic"),
    [
        ("web", OTHER_SUBMISSIONS),
        ("web", STATUS),
        ("web", "dsr.requests.v1"),
        ("web", "dsr.commands.v1"),
        ("billing", TASKS),
        ("billing", OTHER_RESULTS),
        ("billing", SUBMISSIONS),
        ("billing", DEAD_LETTERS),
        ("intake", SUBMISSIONS),
        ("intake", TASKS),
        ("intake", RESULTS),
        ("intake", STATUS),
        ("intake", "dsr.commands.v1"),
        ("fanout", RESULTS),
        ("collector", TASKS),
        ("notifier", STATUS),
    ],
)
async def test_may_not_write(infrastructure: Stack, name: str, topic: str) -> None:
    with pytest.raises(TopicAuthorizationFailedError):
        await write(infrastructure, name, topic)


@pytest.mark.parametrize(
    ("name", "topic"),
    [
        ("web", STATUS),
        ("billing", TASKS),
        ("billing", OWN_DEAD_LETTERS),
        ("intake", SUBMISSIONS),
        ("intake", "dsr.commands.v1"),
        ("collector", RESULTS),
        ("collector", "dsr.commands.v1"),
        ("notifier", "dsr.outcomes.v1"),
    ],
)
def test_may_read(infrastructure: Stack, name: str, topic: str) -> None:
    assert read(infrastructure, name, topic) in (None, EVERYTHING_READ)


@pytest.mark.parametrize(
    ("name", "topic"),
    [
        ("web", SUBMISSIONS),
        ("web", "dsr.portal.helpdesk.status.v1"),
        ("billing", RESULTS),
        ("billing", OTHER_TASKS),
        ("billing", SUBMISSIONS),
        ("intake", TASKS),
        ("intake", RESULTS),
        ("intake", DEAD_LETTERS),
        ("notifier", RESULTS),
    ],
)
def test_may_not_read(infrastructure: Stack, name: str, topic: str) -> None:
    assert read(infrastructure, name, topic) == KafkaError.TOPIC_AUTHORIZATION_FAILED


@pytest.mark.parametrize(
    ("name", "group", "topic"),
    [
        ("billing", "dsr.billing.tasks", TASKS),
        ("web", "dsr.web.status", STATUS),
        ("intake", "habeas.intake", SUBMISSIONS),
    ],
)
async def test_own_group(infrastructure: Stack, name: str, group: str, topic: str) -> None:
    await commit(infrastructure, name, group, topic)


@pytest.mark.parametrize(
    ("name", "group", "topic"),
    [
        ("billing", "dsr.support.tasks", TASKS),
        ("billing", "habeas.collector", TASKS),
        ("web", "dsr.billing.tasks", STATUS),
        ("intake", "habeas.intake.other", SUBMISSIONS),
        ("intake", "habeas.collector", SUBMISSIONS),
    ],
)
async def test_group_of_another(infrastructure: Stack, name: str, group: str, topic: str) -> None:
    with pytest.raises(GroupAuthorizationFailedError):
        await commit(infrastructure, name, group, topic)


@pytest.mark.parametrize(
    "changed",
    [
        {"sasl_plain_password": "wrong"},
        {"sasl_plain_username": "nobody"},
        {"security_protocol": "PLAINTEXT"},
    ],
)
async def test_strangers_are_refused(infrastructure: Stack, changed: dict[str, str]) -> None:
    producer = AIOKafkaProducer(**client(infrastructure.env("web"), **changed), request_timeout_ms=3000)
    with pytest.raises(KafkaConnectionError):
        await producer.start()
    await producer.stop()


def test_the_controller_is_closed_to_strangers_and_to_our_principals(infrastructure: Stack) -> None:
    ours = librdkafka(infrastructure.env("operators"))
    address = {"bootstrap.servers": f"127.0.0.1:{infrastructure.ports['kafka-controller']}", "log_level": 0}
    for credentials in ({}, {**ours, "sasl.mechanism": "PLAIN"}):
        with pytest.raises(KafkaException):
            AdminClient({**credentials, **address}).list_topics(timeout=2)


def test_no_topic_comes_into_being_by_itself(infrastructure: Stack) -> None:
    """Even for the super user, even for a client that asks for it."""
    name = "dsr.system.unheard-of.tasks.v1"
    settings = librdkafka(infrastructure.env("operators"), **{"group.id": "habeas.operators"})
    consumer = Consumer({**settings, "allow.auto.create.topics": True})
    assert consumer.list_topics(name, timeout=10).topics[name].error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART
    assert name not in consumer.list_topics(timeout=10).topics
    consumer.close()


async def test_dead_letters_take_two_megabytes_and_others_one(infrastructure: Stack) -> None:
    big = b"x" * 2_000_000
    await write(infrastructure, "intake", DEAD_LETTERS, big, limit=2_097_152)
    with pytest.raises(MessageSizeTooLargeError):
        await write(infrastructure, "intake", "dsr.requests.v1", big, limit=2_097_152)


def test_other_clients_join_too(infrastructure: Stack) -> None:
    """librdkafka, as most other languages use it, with nothing but the environment."""
    consumer = Consumer(librdkafka(infrastructure.env("billing"), **{"group.id": "dsr.billing.tasks"}))
    assert len(consumer.list_topics(TASKS, timeout=10).topics[TASKS].partitions) == 2
    consumer.close()
