"""`habeas classify|refuse|weigh|lift|retry|release`: what only a person may decide about a request."""

from __future__ import annotations

import asyncio
import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID, uuid4

import typer
from rich.console import Console

from habeas.contracts.base import identifier
from habeas.contracts.cloudevents import rfc3339
from habeas.contracts.command import (
    CommandClassify,
    CommandDecided,
    CommandLift,
    CommandRefuse,
    CommandRelease,
    CommandRetry,
    CommandWeigh,
    Order,
    Verdict,
)
from habeas.contracts.vocabulary import Right
from operations.commands.stack import JsonOption, RootOption
from operations.completion import grounds, regulations, systems
from operations.connection import DEFAULT_ROOT, clock, variables
from operations.errors import UsageError
from operations.inspect.cases import find_case
from operations.inspect.database import reading
from operations.inspect.kafka import account_name
from operations.inspect.orders import give, make
from operations.inspect.references import request_named
from shared.law.grounds import GROUNDS

PATIENCE = 30.0  # seconds

_WHY = {
    "request_unknown": "the services know no such request",
    "not_in_triage": "it was accepted, refused or withdrawn already",
    "amended_since": "the portal has changed the request since you looked; look again before you vouch for it",
    "ground_unknown": f"the grounds are {', '.join(sorted(GROUNDS))}",
    "regulation_unknown": "say which law it is under with --regulation, or where the person is with --jurisdiction",
    "version_differs": "the status has another version than the one expected; look again",
    "not_to_weigh": "there is no objection under review",
    "not_restricted": "it has no restriction to lift",
    "not_failed": "that system has not failed, or the request is not under review",
    "not_under_review": "the request is not under review",
}
"""What a code of the contract means to whoever gave the command. Others stand by themselves."""

Request = Annotated[str, typer.Argument(metavar="REQUEST", help="Its id or reference.")]
Reason = Annotated[
    str, typer.Option("--reason", metavar="CODE", help="Why, as a word for the record: identity_checked_by_phone.")
]
By = Annotated[
    str | None, typer.Option("--by", metavar="ACCOUNT", help="Who decides: an account, no person. Default: your login.")
]
Version = Annotated[
    int | None, typer.Option("--expected-version", help="Only if the status still is at this version.", min=1)
]
CommandId = Annotated[
    str | None, typer.Option("--command-id", metavar="ID", help="The id of a command given before: the same order.")
]
Wait = Annotated[float, typer.Option("--wait", metavar="SECONDS", help="How long to wait for the decision.", min=0.1)]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    for command in (classify, refuse, weigh, lift, retry, release):
        app.command(command.__name__)(command)


def classify(
    request: Request,
    right: Annotated[Right, typer.Option(help="Which right it is.")],
    reason: Reason,
    regulation: Annotated[
        str | None, typer.Option(help="Under which law. Default: as submitted.", autocompletion=regulations)
    ] = None,
    jurisdiction: Annotated[
        str | None, typer.Option(help="Where the person is (ISO 3166). Default: as submitted.")
    ] = None,
    authorised: Annotated[
        bool, typer.Option("--authorised", help="You vouch for the identities and for the authority to ask.")
    ] = False,
    revision: Annotated[
        int | None, typer.Option(min=1, help="Which revision of the request you have read; needed to vouch for it.")
    ] = None,
    by: By = None,
    expected_version: Version = None,
    command_id: CommandId = None,
    wait: Wait = PATIENCE,
    root: RootOption = DEFAULT_ROOT,
    as_json: JsonOption = False,
) -> None:
    """Say what a request in triage is; it goes on if it can be carried out so."""
    if authorised and revision is None:
        raise UsageError(
            "Say which revision of the request you have read: --revision N. The mail to the privacy team names it, and "
            "`habeas status`. What the portal has added since is not vouched for."
        )
    arguments = {
        "right": right,
        "regulation": regulation,
        "jurisdiction": jurisdiction,
        "authorised": authorised,
        "revision": revision,
    }
    _give(CommandClassify, request, arguments, _Given(reason, by, expected_version, command_id, wait, root, as_json))


def refuse(
    request: Request,
    ground: Annotated[str, typer.Option(metavar="CODE", help="Why, as the person is told.", autocompletion=grounds)],
    reason: Reason,
    by: By = None,
    expected_version: Version = None,
    command_id: CommandId = None,
    wait: Wait = PATIENCE,
    root: RootOption = DEFAULT_ROOT,
    as_json: JsonOption = False,
) -> None:
    """Refuse a request in triage. The person is told why, and where to complain."""
    given = _Given(reason, by, expected_version, command_id, wait, root, as_json)
    _give(CommandRefuse, request, {"ground": ground}, given)


def weigh(
    request: Request,
    reason: Reason,
    uphold: Annotated[bool, typer.Option("--uphold", help="It stands.")] = False,
    override: Annotated[bool, typer.Option("--override", help="Your own grounds override it.")] = False,
    by: By = None,
    expected_version: Version = None,
    command_id: CommandId = None,
    wait: Wait = PATIENCE,
    root: RootOption = DEFAULT_ROOT,
    as_json: JsonOption = False,
) -> None:
    """Decide an objection under review (GDPR Art. 21(1))."""
    if uphold == override:
        raise UsageError("Say how the objection was weighed: --uphold or --override.")
    verdict = Verdict.UPHELD if uphold else Verdict.OVERRIDDEN
    given = _Given(reason, by, expected_version, command_id, wait, root, as_json)
    _give(CommandWeigh, request, {"verdict": verdict}, given)


def lift(
    request: Request,
    reason: Reason,
    by: By = None,
    expected_version: Version = None,
    command_id: CommandId = None,
    wait: Wait = PATIENCE,
    root: RootOption = DEFAULT_ROOT,
    as_json: JsonOption = False,
) -> None:
    """End a restriction. The person is told before it is lifted (GDPR Art. 18(3))."""
    _give(CommandLift, request, {}, _Given(reason, by, expected_version, command_id, wait, root, as_json))


def retry(
    request: Request,
    system: Annotated[str, typer.Argument(help="The system that failed.", autocompletion=systems)],
    reason: Reason,
    by: By = None,
    expected_version: Version = None,
    command_id: CommandId = None,
    wait: Wait = PATIENCE,
    root: RootOption = DEFAULT_ROOT,
    as_json: JsonOption = False,
) -> None:
    """Ask a system that failed once more, for a request under review."""
    given = _Given(reason, by, expected_version, command_id, wait, root, as_json)
    _give(CommandRetry, request, {"system": system}, given)


def release(
    request: Request,
    reason: Reason,
    by: By = None,
    expected_version: Version = None,
    command_id: CommandId = None,
    wait: Wait = PATIENCE,
    root: RootOption = DEFAULT_ROOT,
    as_json: JsonOption = False,
) -> None:
    """Let a request under review go out as it stands."""
    _give(CommandRelease, request, {}, _Given(reason, by, expected_version, command_id, wait, root, as_json))


@dataclass(frozen=True, slots=True)
class _Given:
    """What all of these commands take."""

    reason: str
    by: str | None
    expected_version: int | None
    command_id: str | None
    wait: float
    root: Path
    as_json: bool


def _give(model: type[Order], request: str, arguments: dict[str, Any], given: _Given) -> None:
    repeated = given.command_id is not None
    named = request_named(request)
    command_id = identifier(given.command_id) if given.command_id else uuid4()
    if command_id is None:
        raise UsageError(f"--command-id {given.command_id!r} is no UUID of 36 characters.")
    members = {
        "command_id": command_id,
        "expected_version": given.expected_version,
        "by": given.by or account_name(),
        "reason": given.reason,
        **arguments,
    }
    make(model, {**members, "request_id": UUID(int=0)})  # mistakes are told before anybody is asked
    environment = variables(root=given.root)

    async def ask() -> CommandDecided:
        order = make(model, {**members, "request_id": await _request_id(named, given.root)})
        return await give(order, environment, clock=clock(environment), patience=given.wait, repeated=repeated)

    _tell(asyncio.run(ask()), request, as_json=given.as_json)


async def _request_id(named: UUID | str, root: Path) -> UUID:
    """An id needs no database; a reference is looked up."""
    if isinstance(named, UUID):
        return named
    async with reading(variables(root=root, needed="HABEAS_DATABASE_URL")) as connection:
        return (await find_case(connection, named)).request_id


def _tell(decided: CommandDecided, request: str, *, as_json: bool) -> None:
    """Print the decision; exit code 1 where the command was not accepted."""
    if as_json:
        print(json.dumps(decided.model_dump(mode="json"), indent=1))
    else:
        console = Console(highlight=False, soft_wrap=True)
        request = shlex.quote(request)
        at = f" at {rfc3339(decided.decided_at)}" if decided.decided_at else ""
        if decided.accepted:
            console.print(f"Accepted{at}. `habeas status {request}` shows what comes of it.", markup=False)
        else:
            why = decided.reason.code if decided.reason else "no reason given"
            meaning = f" ({_WHY[why]})" if why in _WHY else ""
            console.print(
                f"Not accepted{at}: {why}{meaning}. See `habeas status {request}` for how it stands.", markup=False
            )
    if not decided.accepted:
        raise typer.Exit(1)
