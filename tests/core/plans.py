"""EXPLAIN of a statement as it would run, for tests that hot statements use their indexes."""

import json
from collections.abc import Iterator
from typing import Any

from shared.database import Connection


async def explain(connection: Connection, statement: str, *arguments: Any) -> list[dict[str, Any]]:
    """The nodes of the plan; nothing is executed."""
    prepared = await connection.fetchval(f"EXPLAIN (FORMAT json) {statement}", *arguments)
    return list(_nodes(json.loads(prepared)[0]["Plan"]))


def scanned(nodes: list[dict[str, Any]]) -> set[str]:
    """The tables that are read from end to end."""
    return {node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"}


def indexes(nodes: list[dict[str, Any]]) -> set[str]:
    return {node["Index Name"] for node in nodes if "Index Name" in node}


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from _nodes(below)
