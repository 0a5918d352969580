"""`habeas submit`, `amend` and `withdraw`: what a portal says, from the keyboard."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID, uuid4

import orjson
import typer
from rich.console import Console

from habeas.contracts import CloudEvent, ContractError, HabeasError, KeyFile, Keyring
from habeas.contracts.status import StatusChanged
from habeas.contracts.submission import RequestAmended, RequestSubmitted, RequestWithdrawn
from habeas.contracts.vocabulary import RequestState
from habeas.portal import Portal, Rejected, Writer
from operations.connection import DEFAULT_ROOT, client_options, clock, variables
from operations.errors import OperationsError, UsageError

RequestArgument = Annotated[UUID, typer.Argument(metavar="REQUEST", help="The request's id.")]
FileArgument = Annotated[
    str, typer.Argument(metavar="FILE|-", help="The body as JSON, `personal` in clear; - reads it.")
]
PortalOption = Annotated[str, typer.Option("--portal", help="Which portal says so.")]
FollowOption = Annotated[bool, typer.Option("--follow", help="Print each status until the request is closed.")]
RootOption = Annotated[Path, typer.Option("--root", help="The local stack's folder.")]


PATIENCE = 10.0
"""Seconds for Kafka to answer."""
FOR_PEOPLE = {RequestState.TRIAGE, RequestState.IN_REVIEW}
WORDS = {
    RequestSubmitted.TYPE: ("submitted", "submission"),
    RequestAmended.TYPE: ("amended", "amendment"),
    RequestWithdrawn.TYPE: ("withdrew", "withdrawal"),
}


class SubmissionRejectedError(OperationsError):
    """The workflow refused what the portal said."""


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    for command in (submit, amend, withdraw):
        app.command(command.__name__)(command)


def submit(
    file: FileArgument, portal: PortalOption = "web", follow: FollowOption = False, root: RootOption = DEFAULT_ROOT
) -> None:
    """Publish a submission. The command seals its `personal`; request_id and times are filled in where left out."""
    environment = variables(portal, root)
    event = submission(_read(file), portal, _keyring(environment), clock(environment)())
    _publish(event, portal, environment, follow=follow)


def amend(
    request: RequestArgument,
    file: FileArgument,
    portal: PortalOption = "web",
    follow: FollowOption = False,
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Add to a request: proven identities, or another requester or details. The command seals `personal`."""
    environment = variables(portal, root)
    document = {**_document(_read(file), "identities, requester or details"), "request_id": request}
    event = _written(lambda: _writer(portal, environment).amended(document))
    _publish(event, portal, environment, follow=follow)


def withdraw(
    request: RequestArgument,
    reason: Annotated[str | None, typer.Option("--reason", help="A word for it, such as changed_mind.")] = None,
    portal: PortalOption = "web",
    follow: FollowOption = False,
    root: RootOption = DEFAULT_ROOT,
) -> None:
    """Take a request back for the person."""
    environment = variables(portal, root)
    event = _written(lambda: _writer(portal, environment).withdrawn({"request_id": request, "reason": reason}))
    _publish(event, portal, environment, follow=follow)


def submission(document: bytes, portal: str, keyring: Keyring, now: datetime) -> CloudEvent:
    """The event of a submission whose `personal` is in clear. Raises UsageError, which names members and no values."""
    defaults = {"request_id": str(uuid4()), "submitted_time": now, "received_at": now}
    members = {**defaults, **_document(document, "`subject`")}
    return _written(lambda: Writer(portal, keyring, now).submitted(members))


def _document(document: bytes, parts: str) -> dict[str, Any]:
    try:
        members: Any = orjson.loads(document)
    except orjson.JSONDecodeError as error:
        raise UsageError(f"The file is not JSON: see line {error.lineno}, column {error.colno}.") from None
    if not isinstance(members, dict) or not isinstance(members.get("personal"), dict):
        raise UsageError(f"The file must be a JSON object with `personal` in clear: an object with {parts} in it.")
    return members


def _written(write: Callable[[], CloudEvent]) -> CloudEvent:
    try:
        return write()
    except ContractError as error:
        raise UsageError(f"{error.pointer or 'The file'} breaks the contract: {error.detail}.") from None


def _keyring(environment: dict[str, str]) -> Keyring:
    return KeyFile(Path(environment["HABEAS_KEYS"])).keyring()


def _writer(portal: str, environment: dict[str, str]) -> Writer:
    return Writer(portal, _keyring(environment), clock(environment)())


def _publish(event: CloudEvent, name: str, environment: dict[str, str], *, follow: bool) -> None:
    did, noun = WORDS[event.type]
    console, advice = Console(highlight=False), Console(highlight=False, stderr=True)

    async def run() -> None:
        keys = Path(environment["HABEAS_KEYS"])
        async with Portal(name, kafka=client_options(environment), keys=keys, patience=PATIENCE) as portal:
            sent = await portal.publish(event)
            console.print(f"{did} {sent.request_id} as {name}")
            if follow:
                async for status in portal.follow(sent):
                    console.print(_line(status))
                    if status.state in FOR_PEOPLE:
                        advice.print(
                            f"It waits for a person: see `habeas status {status.reference}`. Ctrl-C stops following."
                        )

    try:
        asyncio.run(run())
    except Rejected as error:
        findings = ", ".join(f"{each.code} {each.pointer}".strip() for each in error.errors)
        raise SubmissionRejectedError(f"The {noun} was rejected: {findings}.") from None
    except HabeasError as error:
        raise OperationsError(f"{error}.") from None


def _line(status: StatusChanged) -> str:
    systems = ", ".join(f"{each.system} {each.outcome or each.state}" for each in status.systems)
    due = f", due {status.due.on}" if status.due else ""
    reason = f", {status.reason.code}" if status.reason else ""
    return f"{status.reference} {status.outcome or status.state}{reason}{due}{f' ({systems})' if systems else ''}"


def _read(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.") from None
