"""`/health/live`, `/health/ready` and `/metrics`, without a web framework: a team's install stays small."""

import asyncio
from collections import Counter
from collections.abc import Callable
from time import monotonic

_HELP = {
    "habeas_participant_records_total": ("counter", "Records read from the tasks topic."),
    "habeas_participant_tasks_total": ("counter", "Tasks answered for the first time, by action and outcome."),
    "habeas_participant_answers_published_total": ("counter", "Answers confirmed by Kafka, repeats included."),
    "habeas_participant_dead_letters_total": ("counter", "Records that could not be used, by reason."),
    "habeas_participant_batches_total": ("counter", "Batches finished."),
    "habeas_participant_batch_seconds_total": ("counter", "Seconds spent on batches."),
    "habeas_participant_last_poll_age_seconds": ("gauge", "Seconds since records were last asked for."),
    "habeas_participant_ready": ("gauge", "1 while the system takes part in its group."),
}
_REQUEST_LIMIT = 8_192  # bytes of a request's head
_PATIENCE = 5.0  # seconds for a client to say what it wants


class Health:
    """What is going on, counted; and whether the loop still turns."""

    def __init__(self, system: str, live_within: float, clock: Callable[[], float] = monotonic) -> None:
        self._system = system
        self._live_within = live_within
        self._clock = clock
        self._counts: Counter[tuple[str, tuple[tuple[str, str], ...]]] = Counter()
        self._last_poll = clock()
        self.ready = False

    def polled(self) -> None:
        self._last_poll = self._clock()

    def add(self, name: str, amount: float = 1, **labels: str) -> None:
        self._counts[name, tuple(sorted(labels.items()))] += amount  # type: ignore[assignment]

    @property
    def live(self) -> bool:
        return self._age() < self._live_within

    def exposition(self) -> str:
        """All metrics in Prometheus' text format."""
        series = dict(self._counts)
        series["habeas_participant_last_poll_age_seconds", ()] = round(self._age(), 3)  # type: ignore[assignment]
        series["habeas_participant_ready", ()] = int(self.ready)
        lines: list[str] = []
        for name, (kind, text) in _HELP.items():
            lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
            for (of, labels), value in sorted(series.items()):
                if of == name:
                    inside = ",".join(f'{label}="{word}"' for label, word in (("system", self._system), *labels))
                    lines.append(f"{name}{{{inside}}} {value}")
        return "\n".join(lines) + "\n"

    def respond(self, path: str) -> tuple[int, str]:
        match path:
            case "/health/live":
                return (200, "live\n") if self.live else (503, "no poll for too long: restart the process\n")
            case "/health/ready":
                return (200, "ready\n") if self.ready else (503, "not ready: not in its group yet, or stopping\n")
            case "/metrics":
                return 200, self.exposition()
            case _:
                return 404, "see /health/live, /health/ready, /metrics\n"

    def _age(self) -> float:
        return self._clock() - self._last_poll


async def listen(health: Health, port: int) -> asyncio.Server:
    """An HTTP/1.1 server on all interfaces that answers GET, one request a connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                head = await reader.readuntil(b"\r\n\r\n")
                method, target, *_ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
                status, text = (
                    health.respond(target.split("?")[0]) if method in ("GET", "HEAD") else (405, "GET only\n")
                )
                body = text.encode()
                words = {200: "OK", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}
                writer.write(
                    f"HTTP/1.1 {status} {words[status]}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
                    f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
                )
                if method != "HEAD":
                    writer.write(body)
                await writer.drain()
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # not a client we can answer
        finally:
            writer.close()

    return await asyncio.start_server(serve, port=port, limit=_REQUEST_LIMIT)
