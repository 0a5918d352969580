"""A mail server whose every reply is written down, and which takes no command where it does not belong."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from services.notifier.smtp import Postman

HANG_UP = ""
PIPELINING = "250-here\r\n250-PIPELINING\r\n250-SIZE 1000000\r\n250 SMTPUTF8\r\n"
CHUNKING = "250-here\r\n250-PIPELINING\r\n250-CHUNKING\r\n250-SIZE 1000000\r\n250 SMTPUTF8\r\n"
DEFAULT = {"DATA": "354 go on", "END": "250 taken", "BDAT": "250 taken", "QUIT": "221 bye"}


@dataclass
class Server:
    """Answers each command with the next of what stands under its verb, and with "250 fine" when that is used up."""

    replies: dict[str, list[str]] = field(default_factory=dict)
    extensions: str = PIPELINING
    pace: float = 0.0
    """Seconds that it takes over each content."""
    writes: list[bytes] = field(default_factory=list)
    mails: list[bytes] = field(default_factory=list)
    came: asyncio.Event = field(default_factory=asyncio.Event)
    """A mail has."""
    connections: int = 0
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        writer.write(b"220 here\r\n")
        unread, content, chunk = b"", False, 0
        envelope = 0  # of MAIL and RCPT, how many were taken
        while data := await reader.read(65536):
            self.writes.append(data)
            unread += data
            while True:
                if chunk:
                    if len(unread) < chunk:
                        break
                    line, unread, verb = unread[:chunk], unread[chunk:], "BDAT"
                else:
                    line, end, rest = unread.partition(b"\r\n.\r\n" if content and unread != b".\r\n" else b"\r\n")
                    if not end:
                        break
                    unread = rest
                    verb = "END" if content else line[:4].decode().strip().upper()
                    if verb == "BDAT":
                        chunk = int(line.split()[1])
                        continue
                reply = self.replies[verb].pop(0) if self.replies.get(verb) else DEFAULT.get(verb, "250 fine")
                if (verb == "MAIL" and envelope) or (chunk and envelope < 2):
                    reply = "503 not now"
                elif chunk or (content and line != b"."):
                    self.mails.append(line)
                    self.came.set()
                    await asyncio.sleep(self.pace)
                if reply == HANG_UP:
                    writer.transport.abort()
                    return
                if verb in {"RSET", "END"} or (chunk and envelope == 2):
                    envelope = 0
                elif verb in {"MAIL", "RCPT"} and reply.startswith("2"):
                    envelope += 1
                content, chunk = verb == "DATA" and reply.startswith("354"), 0
                writer.write((self.extensions if verb == "EHLO" else reply + "\r\n").encode())
        writer.close()


@asynccontextmanager
async def serving(server: Server, patience: float = 5) -> AsyncIterator[Postman]:
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    postman = Postman(f"smtp://127.0.0.1:{server.port}", timeout=patience, size=1)
    try:
        yield postman
    finally:
        await postman.close()
        listener.close()
        for writer in server.writers:
            writer.close()
        await listener.wait_closed()
