"""The least that is an SMTP server (RFC 5321, with RFC 2920's pipelining and RFC 3030's chunks): it takes every mail
and keeps none.

Run as `python -m bench.sink --port PORT`; its CPU time is reported apart, since no workflow spends it.
"""

import argparse
import asyncio
from typing import Final, cast

import uvloop

_GREETING: Final = b"220 bench ESMTP\r\n"
_EXTENSIONS: Final = (
    b"250-bench\r\n250-PIPELINING\r\n250-CHUNKING\r\n250-8BITMIME\r\n250-SIZE 33554432\r\n250 SMTPUTF8\r\n"
)
_END: Final = b"\r\n.\r\n"
_TAKEN: Final = b"250 taken\r\n"
_FINE: Final = b"250 fine\r\n"
_REPLIES: Final = {
    b"EHLO": _EXTENSIONS,
    b"HELO": b"250 bench\r\n",
    b"DATA": b"354 go on\r\n",
    b"QUIT": b"221 bye\r\n",
    b"VRFY": b"252 perhaps\r\n",
}


class Sink(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._unread = b""
        self._in_data = False
        self._chunk = 0
        """Bytes of a chunk that are still to come."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self._transport.write(_GREETING)

    def data_received(self, data: bytes) -> None:
        answers: list[bytes] = []
        unread, start = self._unread + data, 0
        while start < len(unread):
            if self._chunk:
                came = min(self._chunk, len(unread) - start)
                self._chunk -= came
                start += came
                if not self._chunk:
                    answers.append(_TAKEN)
                continue
            end = unread.find(_END if self._in_data else b"\r\n", start)
            if end < 0:
                break
            if self._in_data:
                self._in_data, start = False, end + len(_END)
                answers.append(_TAKEN)
                continue
            command, start = unread[start:end], end + 2
            verb = command[:4].upper()
            if verb == b"BDAT":
                self._chunk = int(command.split()[1])
                if self._chunk:
                    continue
            answers.append(_REPLIES.get(verb, _FINE))
            self._in_data = verb == b"DATA"
        self._unread = unread[start:]
        if answers:
            self._transport.write(b"".join(answers))


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    uvloop.run(_serve(parser.parse_args().port))
