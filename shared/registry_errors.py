"""What is wrong with a registry: where, and what to write instead."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails


@dataclass(frozen=True, slots=True)
class Problem:
    path: str
    """The member at fault, as a TOML path: `systems.billing.categories[0].basis`."""
    advice: str


class RegistryError(Exception):
    """The registry cannot be used; the text names every bad member and what to write instead."""

    def __init__(self, file: Path, problems: tuple[Problem, ...]) -> None:
        self.file = file
        self.problems = problems
        lines = (
            f"  {problem.path}: {problem.advice}" if problem.path else f"  {problem.advice}" for problem in problems
        )
        super().__init__("\n".join((f"The registry {file} needs a correction:", *lines)))


def explain(finding: ErrorDetails, model: type[BaseModel], prefix: tuple[str, ...] = ()) -> Problem:
    """A finding of pydantic's below `prefix` in `model`, in words for whoever writes the registry."""
    location = (*prefix, *finding["loc"])
    context = finding.get("ctx", {})
    expected = _described(model, location)
    match finding["type"]:
        case "missing":
            advice = f"is missing: write {expected}" if expected else "is missing: add it"
        case "extra_forbidden":
            advice = "is not known here: correct its name or remove it"
        case "enum":
            advice = f"write one of {context['expected']}"
        case "value_error":
            advice = str(context["error"])
        case _:
            advice = f"write {expected}" if expected else f"expected otherwise: {finding['msg']}"
    return Problem(_toml_path(location), advice)


def _toml_path(location: tuple[int | str, ...]) -> str:
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in location if part != "[key]")
    return "".join(parts).removeprefix(".")


def _described(model: type[BaseModel], location: tuple[int | str, ...]) -> str | None:
    """What is to stand there, in the words of the model: the description nearest to the member."""
    annotation: Any = model
    described: str | None = None
    for index, part in enumerate(location):
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            field = annotation.model_fields.get(str(part))
            if field is None:
                return None
            annotation, described = field.annotation, field.description
            continue
        inside = get_args(annotation)
        if part == "[key]" or not inside:
            break
        key_at_fault = location[index + 1 : index + 2] == ("[key]",)
        annotation = inside[0] if isinstance(part, int) or key_at_fault else inside[-1]
        described = next(
            (
                note.description
                for note in getattr(annotation, "__metadata__", ())
                if getattr(note, "description", None)
            ),
            None,
        )
        annotation = getattr(annotation, "__origin__", annotation) if described else annotation
    return described
