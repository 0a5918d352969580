"""Is a program ready? Asked of it, not guessed."""

from __future__ import annotations

import asyncio

from operations.stack.ports import HOST

PATIENCE = 5.0  # seconds


async def answers_ready(port: int) -> bool:
    """Whether `GET /health/ready` is answered 200."""
    request = f"GET /health/ready HTTP/1.1\r\nHost: {HOST}:{port}\r\nConnection: close\r\n\r\n".encode()
    return await _first_line(port, request, b" 200 ")


async def speaks_smtp(port: int) -> bool:
    """Whether a mail server greets."""
    return await _first_line(port, b"", b"220 ")


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
