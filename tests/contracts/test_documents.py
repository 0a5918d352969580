"""The generated documents: sound by their own standards, and true of the models."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from referencing import Registry, Resource

from habeas.contracts.catalogue import ALL_TYPES, read, read_personal, write
from habeas.contracts.cloudevents import decode, encode
from habeas.contracts.documents.examples import Example, example_keyring, example_place, examples, headers_of
from habeas.contracts.documents.schemas import name_of
from habeas.contracts.errors import Reason

FOLDER = Path(__file__).parents[2] / "docs" / "contract"
EXAMPLES = examples()
SCHEMAS: dict[str, Any] = {path.stem: json.loads(path.read_bytes()) for path in (FOLDER / "schemas").glob("*.json")}


def by_type(example: Example) -> str:
    return example.ce_type


@pytest.fixture(scope="module")
def asyncapi() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((FOLDER / "asyncapi.json").read_bytes())
    return document


def validator(name: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(SCHEMAS[name], format_checker=jsonschema.FormatChecker())


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_each_schema_is_a_schema(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[name])
    assert SCHEMAS[name]["$schema"] == jsonschema.Draft202012Validator.META_SCHEMA["$id"]


def test_each_message_has_a_schema_and_an_example() -> None:
    bodies = {name_of(model) for model in ALL_TYPES}
    opened = {f"{name_of(model)}.personal" for model in ALL_TYPES if model.PERSONAL}
    assert set(SCHEMAS) == bodies | opened
    assert {example.model for example in EXAMPLES} == set(ALL_TYPES)


@pytest.mark.parametrize("example", EXAMPLES, ids=by_type)
def test_examples_keep_the_schemas(example: Example) -> None:
    validator(name_of(example.model)).validate(example.body)
    if example.personal is not None:
        validator(f"{name_of(example.model)}.personal").validate(example.personal)


@pytest.mark.parametrize("example", EXAMPLES, ids=by_type)
def test_examples_can_be_read_and_written(example: Example) -> None:
    headers = [(name, value.encode()) for name, value in headers_of(example).items()]
    event = decode(example.key.encode(), json.dumps(example.body).encode(), headers)
    body = read(event, example.model)
    written = write(body, subject=event.subject, source="x", now=event.time, ce_type=example.ce_type)
    again = decode(*encode(written))
    assert read(again, example.model) == body
    validator(name_of(example.model)).validate(json.loads(again.data))
    if example.model.PERSONAL is not None:
        place = example_place(example)
        personal = read_personal(example_keyring(), place, example.body["personal"], example.model.PERSONAL)
        assert personal.model_dump(mode="json", exclude_unset=True) == example.personal


@pytest.mark.parametrize("example", EXAMPLES, ids=by_type)
def test_schemas_ask_for_the_members_that_the_models_ask_for(example: Example) -> None:
    required = {name for name, field in example.model.model_fields.items() if field.is_required()}
    assert set(SCHEMAS[name_of(example.model)].get("required", [])) == required


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "$ref":
                yield item
            else:
                yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def resolve(document: Any, pointer: str) -> Any:
    for part in pointer.removeprefix("#/").split("/"):
        document = document[part.replace("~1", "/").replace("~0", "~")]
    return document


class TestAsyncApi:
    """AsyncAPI 3.0.0, as far as it can be checked without its own schema."""

    def test_root(self, asyncapi: dict[str, Any]) -> None:
        assert asyncapi["asyncapi"] == "3.0.0"
        assert set(asyncapi) <= {
            "asyncapi", "id", "info", "servers", "defaultContentType", "channels", "operations", "components",
        }  # fmt: skip
        assert {"title", "version"} <= set(asyncapi["info"])

    def test_every_reference_leads_somewhere(self, asyncapi: dict[str, Any]) -> None:
        found = list(references(asyncapi))
        assert found
        for reference in found:
            if reference.startswith("#/"):
                assert resolve(asyncapi, reference)
            else:
                assert (FOLDER / reference).is_file()

    def test_addresses_name_their_parameters(self, asyncapi: dict[str, Any]) -> None:
        for channel in asyncapi["channels"].values():
            assert set(re.findall(r"\{(\w+)\}", channel["address"])) == set(channel.get("parameters", {}))
        assert {channel["address"] for channel in asyncapi["channels"].values()} == {
            "dsr.portal.{portal}.submissions.v1",
            "dsr.portal.{portal}.status.v1",
            "dsr.system.{system}.tasks.v1",
            "dsr.system.{system}.results.v1",
            "dsr.system.{system}.dead-letters.v1",
            "dsr.commands.v1",
            "dsr.decisions.v1",
            "dsr.dead-letters.v1",
        }

    def test_operations_send_or_receive_messages_of_their_channel(self, asyncapi: dict[str, Any]) -> None:
        for name, operation in asyncapi["operations"].items():
            assert re.fullmatch(r"[A-Za-z0-9._-]+", name)
            assert operation["action"] in {"send", "receive"}
            channel = operation["channel"]["$ref"]
            assert channel.startswith("#/channels/")
            assert operation["messages"]
            for message in operation["messages"]:
                assert message["$ref"].startswith(f"{channel}/messages/")

    def test_every_message_travels_on_a_channel(self, asyncapi: dict[str, Any]) -> None:
        used = {
            message["$ref"] for channel in asyncapi["channels"].values() for message in channel["messages"].values()
        }
        assert used == {f"#/components/messages/{name}" for name in asyncapi["components"]["messages"]}

    def test_participants_see_their_own_side(self, asyncapi: dict[str, Any]) -> None:
        assert set(asyncapi["operations"]) == {
            "portal.send.submissions", "portal.receive.status",
            "system.receive.tasks", "system.send.results",
            "system.send.systemDeadLetters", "system.receive.systemDeadLetters",
            "operators.send.commands", "operators.receive.decisions", "operators.receive.deadLetters",
        }  # fmt: skip

    def test_examples_keep_the_schemas_of_their_message(self, asyncapi: dict[str, Any]) -> None:
        files = Registry().with_resources(
            (f"schemas/{name}.json", Resource.from_contents(schema)) for name, schema in SCHEMAS.items()
        )
        for message in asyncapi["components"]["messages"].values():
            assert message["bindings"]["kafka"]["key"]["format"] == "uuid"
            for example in message["examples"]:
                for part in ("headers", "payload"):
                    schema = message[part]["schema"]
                    jsonschema.Draft202012Validator.check_schema(schema)
                    jsonschema.Draft202012Validator(schema, registry=files).validate(example[part])


class TestReadme:
    """The contract in words, where it repeats what the code says."""

    TEXT = (FOLDER / "README.md").read_text()

    def test_the_table_of_reasons_is_complete(self) -> None:
        table = self.TEXT.partition("## Reasons")[2].partition("\n## ")[0]
        listed = re.findall(r"^\| `([a-z_]+)` \|", table, flags=re.MULTILINE)
        assert listed == [str(reason) for reason in Reason]

    def test_every_type_and_schema_is_told(self) -> None:
        for model in ALL_TYPES:
            assert f"`{model.TYPE.replace('{verb}', '<verb>')}`" in self.TEXT

    def test_the_worked_example_is_the_first_vector(self) -> None:
        vector = json.loads((FOLDER / "sealing-vectors.json").read_bytes())["opens"][1]
        for part in (
            vector["name"],
            vector["header"],
            vector["nonce"],
            vector["plaintext"],
            *vector["token"].split("."),
        ):
            assert part in self.TEXT

    def test_links_lead_somewhere(self) -> None:
        for target in re.findall(r"\]\(([^)#]+)\)", self.TEXT):
            assert target.startswith("https://") or (FOLDER / target).exists(), target
