"""JSON Schemas (2020-12): one for each body on the wire, one for each `personal` once opened."""

from typing import Any

from habeas.contracts.base import Message, Model
from habeas.contracts.catalogue import ALL_TYPES
from habeas.contracts.command import Command, command_type

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def name_of(model: type[Message]) -> str:
    """The ce_type, as files and references spell it."""
    return command_type("verb") if model is Command else model.TYPE


def schemas() -> dict[str, dict[str, Any]]:
    """Name to schema. Unknown members are allowed everywhere: readers ignore them."""
    found: dict[str, dict[str, Any]] = {}
    for model in ALL_TYPES:
        name = name_of(model)
        found[name] = _schema(model, name)
        if model.PERSONAL is not None:
            found[f"{name}.personal"] = _schema(model.PERSONAL, f"{name}.personal")
            found[name]["properties"]["personal"] |= {
                "description": f"A compact JWE. Opened, it is JSON as in {name}.personal.json.",
                "contentMediaType": "application/jose",
            }
    return found


def _schema(model: type[Model], name: str) -> dict[str, Any]:
    schema = _untitled(model.model_json_schema(mode="validation"))
    return {"$schema": DIALECT, "$id": f"urn:habeas:contract:{name}", "title": name, **schema}


def _untitled(value: Any) -> Any:
    """Without the titles that pydantic makes from names, which say nothing new."""
    if isinstance(value, dict):
        return {
            key: {name: _untitled(schema) for name, schema in item.items()}
            if key in ("properties", "$defs")
            else _untitled(item)
            for key, item in value.items()
            if key != "title"
        }
    return [_untitled(item) for item in value] if isinstance(value, list) else value
