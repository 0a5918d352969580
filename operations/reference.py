"""Tables of the documentation that are made from the code: every setting, every command."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args, get_origin

import typer
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from habeas.participant import ParticipantSettings
from habeas.participant.folder import FolderSettings
from habeas.participant.postgres import DatabaseSettings
from habeas.portal.portal import PortalSettings
from habeas.settings import KafkaSettings
from operations.errors import OperationsError
from services.collector.app import CollectorSettings
from services.notifier.app import NotifierSettings
from shared.settings import ClockSettings, ServiceSettings
from systems.billing.recipients import RecipientSettings
from systems.payments.settings import ProcessorSettings, ServerSettings

SETTINGS: Final[Sequence[tuple[str, type[BaseSettings]]]] = (
    ("all", KafkaSettings),
    ("services", ServiceSettings),
    ("collector", CollectorSettings),
    ("notifier", NotifierSettings),
    ("services, local stack", ClockSettings),
    ("systems", ParticipantSettings),
    ("portals", PortalSettings),
    ("systems on PostgreSQL", DatabaseSettings),
    ("systems on files", FolderSettings),
    ("billing", RecipientSettings),
    ("payments", ProcessorSettings),
    ("payments' stand-in processor", ServerSettings),
)
"""Who reads which settings, in the order of the table. A class that is not among them fails a test."""

_HIDDEN = "secret"
_ENTRY = re.compile(r"(<!-- (\w+): made by `habeas docs generate` -->\n).*?(<!-- end of \2 -->)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Setting:
    variable: str
    who: str
    default: str
    what: str


def settings() -> list[Setting]:
    """Each variable once for each default it has, in the order of `SETTINGS`."""
    found: dict[tuple[str, str], list[Setting]] = {}
    for who, model in SETTINGS:
        told = _docstrings(model)
        for name, field in model.model_fields.items():
            if name not in model.__annotations__ and model.__base__ is not BaseSettings:
                continue  # inherited: its own row says who
            variable = f"{model.model_config.get('env_prefix', '')}{name}".upper()
            what = _sentence(field.description or told.get(name, ""), field)
            found.setdefault((variable, _default(field)), []).append(Setting(variable, who, _default(field), what))
    rows = []
    for (variable, default), same in found.items():
        # Whoever has no word on a variable means what the others do.
        words = [each.what for each in same] + [
            each.what for key, others in found.items() if key[0] == variable for each in others
        ]
        what = next((text for text in words if text not in ("", _HIDDEN)), "")
        rows.append(Setting(variable, ", ".join(each.who for each in same), default, what))
    return rows


def settings_table(app: typer.Typer) -> str:
    """Markdown: the settings of every program, and the variables that options of the command read."""
    rows = [(f"`{each.variable}`", each.who, each.default, each.what) for each in settings()]
    seen = {each.variable for each in settings()}
    for command, parameter in _parameters(app):
        variable = parameter.envvar
        if isinstance(variable, str) and variable not in seen:
            seen.add(variable)
            rows.append((f"`{variable}`", f"`{command}`", "", str(getattr(parameter, "help", "") or "")))
    return _table(("variable", "who", "default", "what"), rows)


def commands_table(app: typer.Typer) -> str:
    """Markdown: every command and the first sentence of its help."""
    rows = []
    for path, command in _commands(typer.main.get_command(app), "habeas"):
        first = re.split(r"(?<=[.?])(?<!Art\.)\s", " ".join((command.help or "").split()), maxsplit=1)[0]
        rows.append((f"`{path}`", first))
    return _table(("command", "what it does"), rows)


TABLES: Final[Mapping[str, Callable[[typer.Typer], str]]] = {"settings": settings_table, "commands": commands_table}


def made(page: str, app: typer.Typer) -> str:
    """`page` with its tables anew. Raises OperationsError for a marker without a table, or a table without a marker."""
    marked = [match[2] for match in _ENTRY.finditer(page)]
    if sorted(marked) != sorted(TABLES):
        raise OperationsError(f"The page needs one pair of markers for each of {', '.join(TABLES)}; it has {marked}.")
    return _ENTRY.sub(lambda match: f"{match[1]}{TABLES[match[2]](app)}{match[3]}", page)


def _commands(group: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every command that does something, with how it is called. A group is only the way there."""
    inner = getattr(group, "commands", None)
    if inner is None:
        yield path, group
        return
    for name, command in inner.items():
        if not command.hidden:
            yield from _commands(command, f"{path} {name}")


def _parameters(app: typer.Typer) -> Iterator[tuple[str, Any]]:
    for path, command in _commands(typer.main.get_command(app), "habeas"):
        for parameter in command.params:
            yield path, parameter


def _docstrings(model: type[BaseSettings]) -> dict[str, str]:
    """What stands below each field in the class."""
    body = ast.parse(textwrap.dedent(inspect.getsource(model))).body[0]
    assert isinstance(body, ast.ClassDef)  # noqa: S101 - for the type checker: a class's source is a class
    told = {}
    for field, below in zip(body.body, body.body[1:], strict=False):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                told[name] = " ".join(text.split())
    return told


def _sentence(text: str, field: FieldInfo) -> str:
    """What it is, then what it may be, then whether it is secret."""
    parts = [re.sub(r"^`HABEAS_\w+`: ", "", text).rstrip(".")]
    if get_origin(field.annotation) is Literal:
        parts.append(" or ".join(f"`{word}`" for word in get_args(field.annotation)))
    least, most = _bound(field, "ge"), _bound(field, "le")
    if least is not None and most is not None:
        parts.append(f"{least} to {most}")
    if not field.repr or SecretStr in (field.annotation, *get_args(field.annotation)):
        parts.append(_HIDDEN)
    return "; ".join(filter(None, parts))


def _bound(field: FieldInfo, name: str) -> Any:
    return next((getattr(item, name) for item in field.metadata if hasattr(item, name)), None)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    value = field.get_default(call_default_factory=True)
    return "" if value is None else "has one" if isinstance(value, SecretStr) else f"`{value}`"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n".replace("|  |", "| |") for line in lines)
