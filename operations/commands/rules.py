"""`habeas deadline` and `habeas plan`: what the rules say, without any stack."""

import json
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated, Any, assert_never
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.table import Table

from habeas.contracts.vocabulary import Right
from operations.completion import regulations
from operations.timing_text import beside, told, utc
from services.fanout.domain import FanoutError, Planner
from services.fanout.plan import Asked, Ended, Facts, NotConcerned, NotFound, Plan, PlanItem, Waiting
from shared.law.deadline import deadline, timing
from shared.law.errors import (
    ClockOnlyError,
    LawError,
    NoExtensionError,
    NoPauseError,
    PauseOrderError,
    UnknownPlaceError,
    UnknownRegulationError,
)
from shared.law.grounds import ground
from shared.law.pauses import Pause
from shared.law.regime import regime
from shared.registry import Registry, RegistryError, load_registry

DEFAULT_REGISTRY = Path(__file__).parents[2] / "registry" / "ale.toml"

RegistryOption = Annotated[
    Path, typer.Option("--registry", envvar="HABEAS_REGISTRY", help="The controller's registry, a TOML file.")
]
RegulationOption = Annotated[str, typer.Option(help="The regime, such as eu-gdpr.", autocompletion=regulations)]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def register(app: typer.Typer) -> None:
    """Adds both commands to `app`."""
    app.command("deadline")(show_deadline)
    app.command("plan")(show_plan)


def show_deadline(
    regulation: RegulationOption,
    received: Annotated[
        str,
        typer.Option(metavar="DATE", help="When it reached the controller: a local date, or an instant with offset."),
    ],
    place: Annotated[
        str | None,
        typer.Option(help="Whose working days count (ISO 3166-1 or -2). Default: the controller's place."),
    ] = None,
    time_zone: Annotated[
        str | None, typer.Option(help="Whose day a day is (IANA name). Default: the controller's.")
    ] = None,
    right: Annotated[Right, typer.Option(help="Which right is asked for.")] = Right.ACCESS,
    extended: Annotated[bool, typer.Option("--extended", help="With the extension that the law allows.")] = False,
    pause: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FROM..TO", help="From when until when a clarification by the person was waited for. Repeatable."
        ),
    ] = None,
    identified: Annotated[
        str | None,
        typer.Option(
            metavar="DATE",
            help="When the last proof was there: identity, an agent's authority, a fee. What it does is the regime's.",
        ),
    ] = None,
    registry: RegistryOption = DEFAULT_REGISTRY,
    as_json: JsonOption = False,
) -> None:
    """Say when the answer is due to a request, and by which rule.

    Waiting for a clarification moves the date by the days waited, where the regime lets it. In the EU that is a
    claim: the alarm stays on the date without it. In the UK proof of identity starts the clock; in California nothing
    moves it.
    """
    controller = _load(registry).controller
    zone = _zone(time_zone) if time_zone else controller.time_zone
    received_at = _instant(received, zone, "--received")
    identified_at = _instant(identified, zone, "--identified") if identified else None
    where = place or controller.place
    try:
        pauses = [_pause(text, zone) for text in pause or ()]
        found = timing(
            regulation,
            right,
            received_at,
            place=where,
            time_zone=zone,
            extended=extended,
            pauses=pauses,
            identified_at=identified_at,
        )
    except LawError as error:
        raise _usage(error) from error

    if as_json:
        asked = {
            "regulation": regulation,
            "right": right,
            "received_at": utc(received_at),
            "identified_at": utc(identified_at) if identified_at else None,
            "pauses": [{"from": utc(each.asked_at), "to": utc(each.answered_at)} for each in pauses],
            "place": where,
            "time_zone": zone.key,
        }
        _print_json({**asked, "due": found.due.model_dump(mode="json"), **beside(found)})
        return
    for line in told(found, regulation, zone):
        typer.echo(line)


def show_plan(
    right: Annotated[Right, typer.Option(help="Which right is asked for.")],
    regulation: RegulationOption,
    registry: RegistryOption = DEFAULT_REGISTRY,
    identities: Annotated[
        str, typer.Option(metavar="TYPE,…", help="Identity types that are proven, separated by commas.")
    ] = "email",
    as_json: JsonOption = False,
) -> None:
    """Dry run: who would be asked to do what if the request came in now, who not, and why."""
    rules = _load(registry)
    known = _identity_types(identities, rules)
    now = datetime.now(UTC)
    where = rules.controller
    try:
        regime(regulation).check_whole()
        due = deadline(regulation, right, now, place=where.place, time_zone=where.time_zone)
        plan = Planner(rules).plan(right, regulation, Facts(known=known))
    except (LawError, FanoutError) as error:
        raise _usage(error) from error

    if as_json:
        asked = {"right": right, "regulation": regulation, "identities": sorted(known)}
        systems = [_as_json(item, plan, rules, (now, due.at)) for item in plan.items]
        _print_json(
            {**asked, "policy_version": rules.policy.version, "due": due.model_dump(mode="json"), "systems": systems}
        )
        return
    console = Console()
    console.print(_table(plan, rules, known, f"{right} under {regulation}, known by {', '.join(sorted(known))}"))
    console.print(f"Received now, the answer is due on {due.on:%A} {due.on}. Nothing was sent.")


def _table(plan: Plan, registry: Registry, known: frozenset[str], title: str) -> Table:
    table = Table(title=title, show_lines=True)
    table.add_column("System", no_wrap=True)
    table.add_column("State", no_wrap=True)
    table.add_column("Does")
    table.add_column("Why")
    for item in plan.items:
        table.add_row(item.system, item.state, _does(item, registry), _why(item, plan, registry, known))
    return table


def _does(item: PlanItem, registry: Registry) -> str:
    if isinstance(item, NotFound | NotConcerned):
        return ""
    days = registry.systems[item.system].days
    lines = [f"{item.assignment.action} within {days} days"]
    for entry in item.assignment.scope:
        category = registry.category(item.system, entry.category)
        unless = category.at_erasure.unless if category and entry.instruction else None
        instruction = f": {entry.instruction}" if entry.instruction else ""
        lines.append(f"- {entry.category}{instruction}{f', unless {unless}' if unless else ''}")
    return "\n".join(lines)


def _kept(item: PlanItem, registry: Registry) -> dict[str, str]:
    """Category → ground, of what an asked system retains."""
    scope = item.assignment.scope if isinstance(item, Asked | Waiting) else ()
    categories = (registry.category(item.system, entry.category) for entry in scope if entry.instruction)
    return {
        category.name: category.at_erasure.ground for category in categories if category and category.at_erasure.ground
    }


def _why(item: PlanItem, plan: Plan, registry: Registry, known: frozenset[str]) -> str:
    lines: list[str] = []
    match item:
        case Asked(assignment=assignment):
            lines.append(f"can find the person by {_either(assignment.needs & known)}")
        case Waiting(assignment=assignment):
            finders = _finders(item, plan)
            lines.append(f"needs {_either(assignment.needs)}: waits for {_either(finders)}")
        case NotFound(assignment=assignment):
            lines.append(f"needs {_either(assignment.needs)}: no system that is asked can find it")
        case NotConcerned():
            lines.append("the right reaches nothing that it holds")
        case Ended():
            lines.append("the request ended before it was asked")
        case _:
            assert_never(item)
    left_out = {out.category: out.ground for out in item.left_out}
    for verb, grounds in (("keeps", _kept(item, registry)), ("not", left_out)):
        for code in dict.fromkeys(grounds.values()):
            categories = ", ".join(category for category in grounds if grounds[category] == code)
            lines.append(f"{verb} {categories}: {code} ({ground(code).article})")
    return "\n".join(lines)


def _finders(item: Waiting, plan: Plan) -> frozenset[str]:
    """The systems that may find what a waiting one needs."""
    return frozenset(
        other.system
        for other in plan.items
        if isinstance(other, Asked | Waiting)
        and other.assignment.provides & item.assignment.needs
        and other.system != item.system
    )


def _as_json(item: PlanItem, plan: Plan, registry: Registry, dates: tuple[datetime, datetime]) -> dict[str, Any]:
    """`dates` are when the request is received and when it is due."""
    assignment = None if isinstance(item, NotFound | NotConcerned) else item.assignment
    return {
        "system": item.system,
        "state": item.state,
        "reason": item.reason,
        "action": assignment.action if assignment else None,
        "due_at": utc(assignment.due_at(*dates)) if assignment else None,
        "scope": [entry.model_dump(mode="json") for entry in assignment.scope] if assignment else [],
        "needs": sorted(assignment.needs) if assignment else [],
        "waits_for": sorted(_finders(item, plan)) if isinstance(item, Waiting) else [],
        "kept": [{"category": category, "ground": code} for category, code in _kept(item, registry).items()],
        "left_out": [{"category": out.category, "ground": out.ground} for out in item.left_out],
    }


def _usage(error: LawError | FanoutError) -> typer.BadParameter:
    match error:
        case UnknownRegulationError() | ClockOnlyError():
            option = "--regulation"
        case UnknownPlaceError():
            option = "--place"
        case NoExtensionError():
            option = "--extended"
        case NoPauseError() | PauseOrderError():
            option = "--pause"
        case _:
            option = "--right"
    return typer.BadParameter(str(error), param_hint=option)


def _load(file: Path) -> Registry:
    try:
        return load_registry(file)
    except RegistryError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


def _identity_types(text: str, registry: Registry) -> frozenset[str]:
    given = frozenset(part.strip() for part in text.split(",") if part.strip())
    usable = frozenset[str]().union(*(system.needs for system in registry.systems.values()))
    if not given or given - usable:
        wrong = f"No system can be asked by {_either(given - usable)}" if given else "No identity type is named"
        raise typer.BadParameter(f"{wrong}: write some of {', '.join(sorted(usable))}.", param_hint="--identities")
    return given


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError) as error:
        raise typer.BadParameter(
            f"{name!r} is no time zone: write an IANA name such as 'Europe/Berlin'.", param_hint="--time-zone"
        ) from error


def _instant(text: str, zone: ZoneInfo, option: str) -> datetime:
    try:
        if len(text) == len("2026-03-02"):
            return datetime.combine(date.fromisoformat(text), time(12), tzinfo=zone)
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(
            "Write a date ('2026-03-02') or an instant with its offset ('2026-03-02T09:15:00Z').", param_hint=option
        ) from error
    if instant.tzinfo is None:
        raise typer.BadParameter(f"Add an offset to the time: '{text}Z' for UTC.", param_hint=option)
    return instant


def _pause(text: str, zone: ZoneInfo) -> Pause:
    asked, dots, answered = text.partition("..")
    if not dots:
        raise typer.BadParameter(
            f"{text!r} is no pause: write when it was asked and answered, such as '2026-03-05..2026-03-12'.",
            param_hint="--pause",
        )
    return Pause(_instant(asked, zone, "--pause"), _instant(answered, zone, "--pause"))


def _either(words: frozenset[str]) -> str:
    return " or ".join(sorted(words))


def _print_json(value: dict[str, Any]) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))
