"""`habeas submit`: a submission from a file, sealed and published as a portal would."""

from __future__ import annotations

import asyncio
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID, uuid4

import orjson
import typer
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from pydantic import ValidationError
from rich.console import Console

from habeas.contracts import CloudEvent, ContractError, KeyFile, Keyring, Place
from habeas.contracts.catalogue import read, seal_personal, write
from habeas.contracts.cloudevents import decode, encode
from habeas.contracts.errors import invalid
from habeas.contracts.status import StatusChanged, SubmissionRejected
from habeas.contracts.submission import RequestSubmitted, SubmissionPersonal
from habeas.contracts.topics import status, submissions
from operations.connection import DEFAULT_ROOT, client_options, clock, variables
from operations.errors import OperationsError, UsageError


class SubmissionRejectedError(OperationsError):
    """The workflow refused the submission."""


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("submit")(submit)


def submit(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="The body as JSON, `personal` in clear; - reads it.")],
    portal: Annotated[str, typer.Option("--portal", help="Whose submission it is.")] = "web",
    follow: Annotated[bool, typer.Option("--follow", help="Print each status until the request is closed.")] = False,
    root: Annotated[Path, typer.Option("--root", help="The local stack's folder.")] = DEFAULT_ROOT,
) -> None:
    """Publish a submission. The command seals its `personal`; request_id and times are filled in where left out."""
    environment = variables(portal, root)
    keyring = KeyFile(Path(environment["HABEAS_KEYS"])).keyring()
    event = submission(_read(file), portal, keyring, clock(environment)())
    asyncio.run(_publish(event, portal, client_options(environment), follow=follow))


def submission(document: bytes, portal: str, keyring: Keyring, now: datetime) -> CloudEvent:
    """The event of a submission whose `personal` is in clear. Raises UsageError, which names members and no values."""
    try:
        members: Any = orjson.loads(document)
    except orjson.JSONDecodeError as error:
        raise UsageError(f"The file is not JSON: see line {error.lineno}, column {error.colno}.") from None
    if not isinstance(members, dict) or not isinstance(members.get("personal"), dict):
        raise UsageError("The file must be a JSON object with `personal` in clear: an object with `subject` in it.")
    defaults = {"request_id": str(uuid4()), "submitted_time": now.isoformat(), "received_at": now.isoformat()}
    members = {**defaults, **members}
    try:
        personal = SubmissionPersonal.model_validate_json(orjson.dumps(members["personal"]))
        request_id = UUID(str(members["request_id"]))
        sealed = seal_personal(keyring, Place(portal, RequestSubmitted.TYPE, request_id), personal)
        body = RequestSubmitted.model_validate_json(orjson.dumps({**members, "personal": sealed}))
    except ValidationError as error:
        prefix = "/personal" if error.title == SubmissionPersonal.__name__ else ""
        finding = invalid(error, prefix)
        raise UsageError(f"{finding.pointer or 'The file'} breaks the contract: {finding.detail}.") from None
    except ValueError:
        raise UsageError("/request_id must be a UUID.") from None
    except ContractError as error:
        raise UsageError(str(error)) from None
    return write(body, subject=request_id, source=f"portals/{portal}", now=now)


async def _publish(event: CloudEvent, portal: str, kafka: dict[str, Any], *, follow: bool) -> None:
    console = Console(highlight=False)
    key, value, headers = encode(event)
    try:
        async with AIOKafkaProducer(**kafka, enable_idempotence=True) as producer:
            await producer.send_and_wait(submissions(portal), value, key=key, headers=headers)
    except KafkaError as error:
        raise OperationsError(f"Kafka refused the submission: {type(error).__name__}. Is the stack up?") from None
    console.print(f"submitted {event.subject} as {portal}")
    if follow:
        await _follow(event, portal, kafka, console)


async def _follow(event: CloudEvent, portal: str, kafka: dict[str, Any], console: Console) -> None:
    consumer = AIOKafkaConsumer(**kafka, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        topic = status(portal)
        await consumer._client.add_topic(topic)
        partitions = consumer.partitions_for_topic(topic) or set()
        consumer.assign([TopicPartition(topic, number) for number in sorted(partitions)])
        await consumer.seek_to_beginning()
        async for record in consumer:
            if _told(record, event, console):
                return
    finally:
        await consumer.stop()


def _told(record: Any, event: CloudEvent, console: Console) -> bool:
    """Print what a record says of our submission; whether it is the last word. Raises SubmissionRejectedError."""
    if record.value is None or record.key not in {str(event.subject).encode(), str(event.id).encode()}:
        return False
    said = decode(record.key, record.value, record.headers)
    if said.type == SubmissionRejected.TYPE:
        errors = ", ".join(f"{error.code} {error.pointer}".strip() for error in read(said, SubmissionRejected).errors)
        raise SubmissionRejectedError(f"The submission was rejected: {errors}.")
    now = read(said, StatusChanged)
    systems = ", ".join(f"{each.system} {each.outcome or each.state}" for each in now.systems)
    due = f", due {now.due.on}" if now.due else ""
    reason = f", {now.reason.code}" if now.reason else ""
    console.print(f"{now.reference} {now.outcome or now.state}{reason}{due}{f' ({systems})' if systems else ''}")
    return now.state == "closed"


def _read(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.") from None
