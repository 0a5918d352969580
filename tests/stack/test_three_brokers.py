"""Three Kafka nodes: any one may die, whatever it led, and nobody's write or read fails for it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from confluent_kafka import Producer
from confluent_kafka.admin import ConfigResource

from operations.connection import client_options
from operations.errors import UsageError
from operations.stack import Ports, Stack
from operations.stack.kafka import admin_client

pytestmark = pytest.mark.xdist_group("brokers")

NODES = {"kafka", "kafka-2", "kafka-3"}
REQUESTS, TASKS, RESULTS = "dsr.requests.v1", "dsr.system.billing.tasks.v1", "dsr.system.billing.results.v1"
GROUP = "dsr.billing.brokers"
OWN = ("__consumer_offsets", "__transaction_state")  # Kafka's own topics, which it makes when they are first needed
PATIENCE = 60.0  # seconds; a node that died is missed after four, and starting takes as long as the machine is busy


@pytest.fixture(scope="module")
async def three(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    root: Path = tmp_path_factory.mktemp("three")
    async with Stack(root, programs=[], ports=Ports(), brokers=3, keep=False, durable=False) as stack:
        yield stack


def use_kafkas_own_topics(stack: Stack) -> None:
    """Have them made: by a transaction of the super user's, with an offset of a group in it."""
    options = client_options(stack.env("operators"))
    producer = Producer(
        {
            "bootstrap.servers": options["bootstrap_servers"],
            "security.protocol": options["security_protocol"],
            "sasl.mechanism": options["sasl_mechanism"],
            "sasl.username": options["sasl_plain_username"],
            "sasl.password": options["sasl_plain_password"],
            "transactional.id": "brokers",
            "log_level": 0,
        }
    )
    producer.init_transactions(PATIENCE)
    producer.begin_transaction()
    producer.produce(REQUESTS, b"{}")
    producer.commit_transaction(PATIENCE)


async def commit_something(stack: Stack) -> None:
    options = client_options(stack.env("billing"))
    consumer = AIOKafkaConsumer(TASKS, **options, group_id=GROUP, enable_auto_commit=False)
    await consumer.start()
    await consumer.stop()


async def test_every_topic_has_three_copies_and_writes_need_two(three: Stack) -> None:
    await asyncio.to_thread(use_kafkas_own_topics, three)
    await commit_something(three)
    admin = admin_client(three.env("operators"))
    topics = admin.list_topics(timeout=10).topics
    assert {*OWN, REQUESTS, TASKS} <= topics.keys()
    for topic in topics.values():
        for partition in topic.partitions.values():
            assert sorted(partition.replicas) == [1, 2, 3], topic.topic
    resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in topics]
    for resource, answer in admin.describe_configs(resources).items():
        assert answer.result(10)["min.insync.replicas"].value == "2", resource.name


async def test_all_nodes_are_named_to_clients_and_the_controller_is_one_of_them(three: Stack) -> None:
    servers = three.env("billing")["HABEAS_KAFKA_BOOTSTRAP_SERVERS"].split(",")
    assert servers == [f"127.0.0.1:{three.ports[name]}" for name in ("kafka", "kafka-2", "kafka-3")]
    assert set(three.kafka.names) == NODES == {three.kafka.controller(), *three.kafka.names}
    assert {await three.kafka.leader(TASKS, 0), await three.kafka.leader(TASKS, 1)} <= NODES


@pytest.mark.parametrize(("role", "stays_away"), [("leader", True), ("controller", False)])
async def test_a_node_is_killed_and_writing_and_reading_go_on(three: Stack, role: str, *, stays_away: bool) -> None:
    await three.wait_in_sync(PATIENCE)
    victim = three.kafka.controller() if role == "controller" else await three.kafka.leader(RESULTS)
    writer = AIOKafkaProducer(**client_options(three.env("billing")), enable_idempotence=True)
    reader = AIOKafkaConsumer(
        RESULTS,
        **client_options(three.env("collector")),
        group_id="habeas.collector",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    sent = [f"{role} {number}".encode() for number in range(60)]
    pid = three.processes[victim].pid
    async with asyncio.timeout(PATIENCE), writer, reader:
        await asyncio.gather(*(writer.send_and_wait(RESULTS, each, key=each, partition=0) for each in sent[:20]))
        three.kill(victim)
        in_flight = [asyncio.ensure_future(writer.send_and_wait(RESULTS, each, partition=0)) for each in sent[20:40]]
        if stays_away:
            await three.stop(victim)
        await asyncio.gather(*in_flight)
        await asyncio.gather(*(writer.send_and_wait(RESULTS, each, partition=0) for each in sent[40:]))
        if stays_away:
            assert victim not in {await three.kafka.leader(RESULTS), three.kafka.controller()}
        read: list[bytes] = []
        while len(read) < len(sent):
            for records in (await reader.getmany(timeout_ms=200)).values():
                read += [record.value for record in records if record.value.startswith(role.encode())]
            await reader.commit()
        assert sorted(read) == sorted(sent)
        if stays_away:
            await three.start(victim)
        await three.wait_in_sync(PATIENCE)
    assert await behind(three, victim) == {}
    assert three.processes[victim].pid != pid


async def behind(stack: Stack, victim: str) -> dict[str, list[int]]:
    """Return what of the partitions does not have `victim` among its copies in sync."""
    number = next(node.id for node in stack.kafka.nodes if node.name == victim)
    topics = (await asyncio.to_thread(admin_client(stack.env("operators")).list_topics, timeout=10)).topics
    found = {
        name: [each.id for each in topic.partitions.values() if number not in each.isrs]
        for name, topic in topics.items()
    }
    return {name: partitions for name, partitions in found.items() if partitions}


@pytest.mark.parametrize(("begun", "asked"), [(1, 3), (3, 1)])
async def test_the_number_of_nodes_is_for_life(tmp_path: Path, begun: int, asked: int) -> None:
    for number in range(1, begun + 1):
        (tmp_path / "kafka" / str(number)).mkdir(parents=True)
    with pytest.raises(UsageError, match=f"--brokers {begun}"):
        await Stack(tmp_path, programs=[], brokers=asked).up()
