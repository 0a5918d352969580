"""Is a program ready? Asked of it, not guessed."""

from __future__ import annotations

import asyncio
import json

from operations.stack.ports import HOST

PATIENCE = 5.0  # seconds


async def answers_ready(port: int) -> bool:
    """Whether `GET /health/ready` is answered 200."""
    return await _first_line(port, _request(port), b" 200 ")


async def waits_for_operators(port: int) -> bool:
    """Whether nothing keeps a service from being ready but partitions that an operator has to resume."""
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection(HOST, port)
            try:
                writer.write(_request(port))
                body = (await reader.read()).partition(b"\r\n\r\n")[2]
            finally:
                writer.close()
        found = json.loads(body)
        return bool(found["paused"] and found["consuming"] and found["database"] and not found["exhausted"])
    except (OSError, TimeoutError, ValueError, LookupError, TypeError):
        return False


async def speaks_smtp(port: int) -> bool:
    """Whether a mail server greets."""
    return await _first_line(port, b"", b"220 ")


def _request(port: int) -> bytes:
    return f"GET /health/ready HTTP/1.1\r\nHost: {HOST}:{port}\r\nConnection: close\r\n\r\n".encode()


async def _first_line(port: int, request: bytes, expected: bytes) -> bool:
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection(HOST, port)
            try:
                writer.write(request)
                return expected in await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
