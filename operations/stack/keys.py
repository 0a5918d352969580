"""Content keys of the local stack: one JWK Set for each principal, with the keys it may hold and no others.

The operators' set has all keys and is the original; the others are parts of it, written anew on every start.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from operations.stack.folder import read_json, write_private
from operations.topology import OPERATORS

BYTES = 32  # A256GCM


def holdings(portals: Sequence[str], systems: Sequence[str]) -> dict[str, set[str]]:
    """Return, for each principal, whose keys it holds.

    Every service seals dead letters for the operators, and internal events with the services' own key.
    """
    common = {"services", OPERATORS}
    return {
        "intake": common | {*portals},
        "fanout": common | {*systems},
        "collector": common | {*systems},
        "notifier": common,
        OPERATORS: common | {*portals, *systems},
        **{name: {name} for name in (*portals, *systems)},
    }


def write_keys(folder: Path, portals: Sequence[str], systems: Sequence[str]) -> dict[str, Path]:
    """Create the keys that are missing, write each principal's file, and return the files' paths."""
    folder.mkdir(exist_ok=True, mode=0o700)
    keys: list[dict[str, Any]] = read_json(folder / f"{OPERATORS}.json").get("keys", [])
    owners = {_owner(key) for key in keys}
    held = holdings(portals, systems)
    for name in sorted(held[OPERATORS] - owners):
        secret = base64.urlsafe_b64encode(os.urandom(BYTES)).rstrip(b"=").decode()
        keys.append({"kty": "oct", "kid": f"{name}/1", "nbf": 0, "k": secret})
    files = {}
    for principal, names in held.items():
        files[principal] = folder / f"{principal}.json"
        part = [key for key in keys if principal == OPERATORS or _owner(key) in names]
        write_private(files[principal], json.dumps({"keys": part}, indent=1) + "\n")
    return files


def _owner(key: Mapping[str, Any]) -> str:
    return str(key["kid"]).rpartition("/")[0]
