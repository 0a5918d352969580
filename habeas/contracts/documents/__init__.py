"""The contract as files for people and programs that do not speak Python: schemas, AsyncAPI, test vectors.

`documents()` makes them all from the models; they are checked in under `docs/contract/` and tested for drift.
"""

import json
from typing import Any

from habeas.contracts.documents.asyncapi import asyncapi
from habeas.contracts.documents.schemas import schemas
from habeas.contracts.documents.vectors import sealing_vectors


def documents() -> dict[str, bytes]:
    """Path below the folder of the contract's documents, to content. The same on every run."""
    files = {
        "asyncapi.json": asyncapi(),
        "sealing-vectors.json": sealing_vectors(),
        **{f"schemas/{name}.json": schema for name, schema in schemas().items()},
    }
    return {path: _text(value) for path, value in sorted(files.items())}


def _text(value: Any) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n"
