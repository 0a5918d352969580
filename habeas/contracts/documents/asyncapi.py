"""The AsyncAPI 3.0 document: which participant sends and receives what, where."""

from dataclasses import dataclass
from typing import Any, Literal

from habeas.contracts import topics
from habeas.contracts.base import PARTICIPANT_PATTERN, Message
from habeas.contracts.catalogue import (
    ALL_TYPES,
    COMMAND_TYPES,
    DEAD_LETTER_TYPES,
    DECISION_TYPES,
    RESULT_TYPES,
    STATUS_TYPES,
    SUBMISSION_TYPES,
    TASK_TYPES,
)
from habeas.contracts.command import Command
from habeas.contracts.documents.examples import Example, examples, headers_of
from habeas.contracts.documents.schemas import DIALECT, name_of

_BINDING = "0.5.0"
_SCHEMA_FORMAT = "application/schema+json;version=draft-2020-12"
_UUID = {"type": "string", "format": "uuid"}
_UUID_TEXT = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"

Participant = Literal["portal", "system", "operators"]


@dataclass(frozen=True, slots=True)
class _Channel:
    name: str
    address: str
    title: str
    types: tuple[type[Message], ...]
    sends: Participant | None
    """None: Habeas's own services do."""
    receives: Participant | None
    compacted: bool = False
    limit: int = topics.MESSAGE_LIMIT


_CHANNELS = (
    _Channel(
        "submissions", topics.submissions("{portal}"), "What a portal has to tell", SUBMISSION_TYPES, "portal", None
    ),
    _Channel(
        "status",
        topics.status("{portal}"),
        "Where the portal's requests stand; compacted, null once purged",
        STATUS_TYPES,
        None,
        "portal",
        compacted=True,
    ),
    _Channel("tasks", topics.tasks("{system}"), "What a system is asked to do", TASK_TYPES, None, "system"),
    _Channel("results", topics.results("{system}"), "What a system has done", RESULT_TYPES, "system", None),
    _Channel(
        "systemDeadLetters",
        topics.dead_letters("{system}"),
        "Tasks a system could not use, sealed for it alone",
        DEAD_LETTER_TYPES,
        "system",
        "system",
        limit=topics.DEAD_LETTER_LIMIT,
    ),
    _Channel("commands", topics.COMMANDS, "Orders of operators", COMMAND_TYPES, "operators", None),
    _Channel("decisions", topics.DECISIONS, "What became of each order", DECISION_TYPES, None, "operators"),
    _Channel(
        "deadLetters",
        topics.DEAD_LETTERS,
        "Records the services could not use, sealed for the operators",
        DEAD_LETTER_TYPES,
        None,
        "operators",
        limit=topics.DEAD_LETTER_LIMIT,
    ),
)
_NAMES = {"portal": "The portal's name.", "system": "The system's name."}
_GROUPS = {"portal": r"^dsr\.[a-z][a-z0-9-]{1,30}\.", "system": r"^dsr\.[a-z][a-z0-9-]{1,30}\.", "operators": "."}


def asyncapi() -> dict[str, Any]:
    """The document, from the portals', systems' and operators' points of view."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Habeas: data subject requests as events",
            "version": "1.0.0",
            "description": "The contract of portals and of the teams whose systems hold personal data. CloudEvents 1.0 "
            "in the Kafka protocol binding, binary mode. README.md beside this file tells it in words; sealing and "
            "its test vectors stand in sealing-vectors.json.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
            "tags": [{"name": name} for name in ("portal", "system", "operators")],
        },
        "defaultContentType": "application/json",
        "channels": {channel.name: _channel(channel) for channel in _CHANNELS},
        "operations": dict(
            _operation(channel, participant, action)
            for channel in _CHANNELS
            for participant, action in ((channel.sends, "send"), (channel.receives, "receive"))
            if participant is not None
        ),
        "components": {
            "messages": {_message_name(example.model): _message(example) for example in examples()},
            "schemas": {
                f"{_message_name(model)}Personal": _schema(f"{name_of(model)}.personal")
                for model in ALL_TYPES
                if model.PERSONAL is not None
            },
        },
    }


def _channel(channel: _Channel) -> dict[str, Any]:
    policy = ["compact"] if channel.compacted else ["delete"]
    parameters = {
        name: {"description": f"{description} It matches {PARTICIPANT_PATTERN}"}
        for name, description in _NAMES.items()
        if f"{{{name}}}" in channel.address
    }
    return {
        "address": channel.address,
        "title": channel.title,
        "messages": {
            _message_name(model): {"$ref": f"#/components/messages/{_message_name(model)}"} for model in channel.types
        },
        **({"parameters": parameters} if parameters else {}),
        "bindings": {
            "kafka": {
                "topicConfiguration": {"cleanup.policy": policy, "max.message.bytes": channel.limit},
                "bindingVersion": _BINDING,
            }
        },
    }


def _operation(channel: _Channel, participant: Participant, action: str) -> tuple[str, dict[str, Any]]:
    group = {"groupId": {"type": "string", "pattern": _GROUPS[participant]}} if action == "receive" else {}
    return f"{participant}.{action}.{channel.name}", {
        "action": action,
        "title": channel.title,
        "channel": {"$ref": f"#/channels/{channel.name}"},
        "tags": [{"name": participant}],
        "messages": [{"$ref": f"#/channels/{channel.name}/messages/{_message_name(model)}"} for model in channel.types],
        "bindings": {"kafka": {**group, "bindingVersion": _BINDING}},
    }


def _message(example: Example) -> dict[str, Any]:
    model = example.model
    personal = (
        {"x-personal": {"$ref": f"#/components/schemas/{_message_name(model)}Personal"}} if model.PERSONAL else {}
    )
    return {
        "name": name_of(model),
        "title": " ".join((model.__doc__ or model.__name__).split()),
        "contentType": "application/json",
        "headers": {"schemaFormat": _SCHEMA_FORMAT, "schema": header_schema(model)},
        "payload": _schema(name_of(model)),
        "correlationId": {"location": "$message.header#/ce_subject"},
        "bindings": {
            "kafka": {"key": {**_UUID, "description": f"The body's {model.KEY}."}, "bindingVersion": _BINDING}
        },
        "examples": [{"name": "example", "headers": headers_of(example), "payload": example.body}],
        **personal,
    }


def header_schema(model: type[Message]) -> dict[str, Any]:
    """The record's headers, each read as UTF-8 text; one that is not listed is ignored."""
    is_command = model is Command
    word = {"type": "string", "pattern": "^[!-~]{1,256}$"}
    properties = {
        "ce_specversion": {"const": "1.0"},
        "ce_id": {"type": "string", "pattern": _UUID_TEXT, "description": "New for each event."},
        "ce_source": {**word, "description": "Who says so, as a URI reference."},
        "ce_type": {"type": "string", "pattern": r"^dsr\.command\.[a-z][a-z0-9_]{0,31}\.v1$"}
        if is_command
        else {"const": model.TYPE},
        "ce_time": {"type": "string", "format": "date-time"},
        "ce_subject": {"type": "string", "pattern": _UUID_TEXT, "description": f"The key: the body's {model.KEY}."},
        "content-type": {"const": "application/json"},
        "ce_correlationid": word,
        "ce_causationid": {**word, "description": "The ce_id of what led to this event."},
        "traceparent": {"type": "string", "description": "W3C Trace Context."},
    }
    required = [name for name in properties if name not in ("ce_correlationid", "ce_causationid", "traceparent")]
    return {"$schema": DIALECT, "type": "object", "properties": properties, "required": required}


def _schema(name: str) -> dict[str, Any]:
    return {"schemaFormat": _SCHEMA_FORMAT, "schema": {"$ref": f"schemas/{name}.json"}}


def _message_name(model: type[Message]) -> str:
    return model.__name__[0].lower() + model.__name__[1:]
