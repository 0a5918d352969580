"""The local stack's mail server: it delivers nothing and keeps every mail as a file.

Run as `python -m operations.stack.smtp --port PORT --folder FOLDER`. File names are time and sequence, since a name of
a person must not end up in one. The sender is told yes only when the mail is safely in the folder.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import signal
from datetime import UTC, datetime
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

from operations.stack.ports import HOST

LIMIT = 32 << 20  # bytes a mail may have


class Sink:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sequence = itertools.count(1)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802, ARG002
        content = envelope.original_content or b""
        try:
            await asyncio.to_thread(self._keep, content)
        except OSError:
            return "451 4.3.0 could not be kept, try again"
        return "250 2.0.0 kept"

    def _keep(self, content: bytes) -> None:
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}-{next(self._sequence):06d}.eml"
        part = self._folder / f".{name}.part"
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.rename(self._folder / name)


async def serve(port: int, folder: Path) -> None:
    """Serve until SIGTERM or SIGINT."""
    sink = Sink(folder)
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = await loop.create_server(
        lambda: SMTP(
            sink, hostname="localhost", ident="Habeas local mail", enable_SMTPUTF8=True, data_size_limit=LIMIT
        ),
        HOST,
        port,
    )
    async with server:
        await stop.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description="Keep every mail as an .eml file.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    asyncio.run(serve(arguments.port, arguments.folder))


if __name__ == "__main__":
    main()
