"""`habeas conformance`: whether a team's system keeps the contract."""

from __future__ import annotations

import asyncio
import json
import signal
import tempfile
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated

import dotenv
import typer
from confluent_kafka import KafkaException
from rich.console import Console

from habeas.contracts import KeyFile, Keyring
from habeas.contracts.errors import HabeasError
from operations.conformance import CHECKS, Bench, Check, Finding, Subject, conform, read_people, sample_people
from operations.conformance.office import Office
from operations.conformance.program import Program, private_log
from operations.conformance.report import as_json, line, show, verdict
from operations.connection import DEFAULT_ROOT, client_options, clock, local_variables, variables
from operations.errors import OperationsError, UsageError
from operations.stack.kafka import admin_client
from operations.stack.stack import REGISTRY
from shared.registry import Registry, RegistryError, load_registry

_TIMEOUT = 10  # seconds for Kafka to say who takes part


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("conformance")(conformance)


def conformance(
    system: Annotated[str, typer.Argument(help="The system's name in the registry.")],
    command: Annotated[
        str | None, typer.Option("--command", help="Starts the participant; it is killed and started again.")
    ] = None,
    people: Annotated[
        Path | None, typer.Option("--people", help="People of the test data, as JSON; has defaults for our systems.")
    ] = None,
    without_restart: Annotated[
        bool, typer.Option("--without-restart", help="Leave out what needs the participant to be killed.")
    ] = False,
    registry: Annotated[
        Path | None, typer.Option("--registry", help="Default: the stack's, else the demonstration's.")
    ] = None,
    environment_file: Annotated[
        Path | None, typer.Option("--env", help="The participant's HABEAS_* for --command. Default: the local stack's.")
    ] = None,
    only: Annotated[str, typer.Option(metavar="ID,…", help="These checks alone; the verdict is about them.")] = "",
    patience: Annotated[float, typer.Option(help="Seconds to wait for an answer.", min=0.1)] = 30.0,
    flood: Annotated[int, typer.Option(help="Tasks sent at once to measure the speed.", min=2, max=10_000)] = 200,
    root: Annotated[Path, typer.Option("--root", help="The local stack's folder.")] = DEFAULT_ROOT,
    in_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Give a system tasks as the services would, judge its answers, and print what holds and what does not.

    It changes and erases data of the people who may be destroyed. Exit code 0 only if everything was tried and holds.
    """
    if command is not None and without_restart:
        raise UsageError("--command and --without-restart exclude each other: what is started can be restarted.")
    chosen = _chosen(only)
    operators = variables(root=root)
    controller = _registry(registry or Path(operators.get("HABEAS_REGISTRY", REGISTRY)))
    bench = Bench(
        _subject(system, controller, people),
        Office(
            system,
            _keyring(system, operators),
            client_options(operators),
            [name for name in controller.systems if name != system],
        ),
        patience=patience,
        flood=flood,
        now=clock(operators),
    )
    program: Program | None = None
    if command is not None:
        _nobody_takes_part(system, operators)
        environment = _environment(system, environment_file, root)
        program = Program(system, command, environment, private_log(_folder(root), system))
    findings = asyncio.run(_run(bench, program, chosen))
    came_to = verdict(findings, without_restart=without_restart)
    if in_json:
        print(json.dumps(as_json(system, findings, bench.measured, came_to), indent=1))
    else:
        console = Console(highlight=False)
        show(console, system, findings, came_to)
        if program is not None and came_to.exit_code:
            console.print(f"Its own output is in {program.log}.")
    raise typer.Exit(came_to.exit_code)


async def _run(bench: Bench, program: Program | None, only: frozenset[str]) -> list[Finding]:
    checking = asyncio.create_task(_checked(bench, program, only))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, checking.cancel)
    try:
        return await checking
    except asyncio.CancelledError:
        raise OperationsError("Stopped before the end; what was started is down.") from None


async def _checked(bench: Bench, program: Program | None, only: frozenset[str]) -> list[Finding]:
    """The findings, told on stderr as they come."""
    console = Console(stderr=True, highlight=False)
    total, done = len(only or CHECKS), 0
    async with AsyncExitStack() as held:
        await held.enter_async_context(bench.office)
        if program is not None:
            bench.program = await held.enter_async_context(program)
        status = held.enter_context(console.status("")) if console.is_terminal else None

        def begins(check: Check) -> None:
            if status is not None:
                status.update(f"{done + 1} of {total}: {check.sentence}")

        def found(finding: Finding) -> None:
            nonlocal done
            done += 1
            if status is None:
                console.print(f"{done}/{total}", line(finding))

        return list(await conform(bench, only=only, begins=begins, found=found))


def _registry(file: Path) -> Registry:
    try:
        return load_registry(file)
    except RegistryError as error:
        raise UsageError(str(error)) from None


def _subject(system: str, controller: Registry, people: Path | None) -> Subject:
    entry = controller.systems.get(system)
    if entry is None:
        known = ", ".join(controller.systems)
        raise UsageError(f"The registry has no system {system!r}, but {known}. Name another one with --registry.")
    test_people = read_people(people) if people else sample_people(system, entry.needs)
    if test_people is None:
        raise UsageError(f"Whom does {system} hold data about? Name people of its test data with --people FILE.")
    for each in (*(person.identities for person in test_people.people), test_people.stranger):
        if not entry.needs & each.keys():
            raise UsageError(f"Each person, and the stranger, wants one of what {system} needs: {_names(entry.needs)}.")
    return Subject(system, entry.categories, entry.needs, test_people, controller.policy.version)


def _names(words: frozenset[str]) -> str:
    return ", ".join(sorted(words))


def _chosen(only: str) -> frozenset[str]:
    chosen = frozenset(filter(None, only.split(",")))
    if unknown := chosen - {check.id for check in CHECKS}:
        raise UsageError(f"--only: no such check: {_names(unknown)}. A whole run names them all.")
    return chosen


def _keyring(system: str, operators: Mapping[str, str]) -> Keyring:
    try:
        keyring = KeyFile(Path(operators["HABEAS_KEYS"])).keyring()
        keyring.sealing_kid(system)
    except KeyError:
        raise UsageError("Set HABEAS_KEYS to the operators' key file: tasks are sealed with it.") from None
    except HabeasError as error:
        raise UsageError(f"The operators' key file has to hold a key of {system}: {error}.") from None
    return keyring


def _environment(system: str, file: Path | None, root: Path) -> dict[str, str]:
    if file is None:
        return local_variables(system, root)
    if not file.is_file():
        raise UsageError(f"--env: there is no file {file}.")
    return {name: value for name, value in dotenv.dotenv_values(file, interpolate=False).items() if value is not None}


def _folder(root: Path) -> Path:
    """For the participant's own output."""
    return (root / "log").absolute() if (root / "log").is_dir() else Path(tempfile.mkdtemp(prefix="habeas-"))


def _nobody_takes_part(system: str, operators: Mapping[str, str]) -> None:
    """Raise UsageError where a participant runs already: the two would share the tasks, and one alone be killed."""
    admin = admin_client(operators)
    try:
        groups = admin.list_consumer_groups(request_timeout=_TIMEOUT).result().valid
        names = [group.group_id for group in groups if group.group_id.startswith(f"dsr.{system}.")]
        described = admin.describe_consumer_groups(names, request_timeout=_TIMEOUT) if names else {}
        taking_part = [name for name, group in described.items() if group.result().members]
    except KafkaException as error:
        raise OperationsError(f"Kafka cannot be used: {error.args[0].str()}. Is the stack up?") from None
    if taking_part:
        raise UsageError(
            f"{system} takes part already (group {taking_part[0]}). Stop it first, or start the local stack without "
            f"it: `habeas up --without {system}`; or leave out --command and take --without-restart."
        )
