"""`python -m bench`: what the workflow does on this machine, as a table, as JSON, and as one last line of ratios."""

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from statistics import median
from typing import Any

import psutil  # type: ignore[import-untyped]
import uvloop

from bench import growth, latency, memory, replicas, report, rounds
from bench.house import House, built
from bench.load import ERASURE
from bench.pipe import StalledError
from operations.programs import SERVICES

PARTS = ("ratio", "latency", "growth", "replicas", "memory")

Tell = rounds.Tell


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench",
        description="Measures the four services as they are shipped, beside the same messages and nothing behind them.",
        epilog="The machine should have nothing else to do. Exit code 1 where a target is missed.",
    )
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help=f"what to measure: {', '.join(PARTS)} (all)")
    parser.add_argument("--rounds", type=int, default=3, help="of what is compared by turns (3)")
    parser.add_argument("--seconds", type=float, default=20, help="that each run lasts at least (20)")
    parser.add_argument(
        "--open",
        type=_numbers,
        default=(0, 100_000, 1_000_000),
        metavar="N,N,…",
        help="growth: open requests in the tables (0,100000,1000000)",
    )
    parser.add_argument("--service", choices=SERVICES, default="collector", help="replicas: of which (collector)")
    parser.add_argument("--requests", type=int, default=200_000, help="memory: that pass (200000)")
    parser.add_argument("--burst", type=int, default=50_000, help="memory: that come at once (50000)")
    parser.add_argument(
        "--quick", action="store_true", help="everything small: whether it works, not how fast it is. A few minutes"
    )
    parser.add_argument("--json", type=Path, default=Path("bench.json"), help="where the figures go (bench.json)")
    parser.add_argument("--root", type=Path, help="folder of the local stack; a temporary one otherwise")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.seconds = 1, 3.0
        arguments.open, arguments.requests, arguments.burst = (0, 10_000, 50_000), 3_000, 1_000
    return arguments


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(each) for each in text.split(","))


async def _measure(arguments: argparse.Namespace, root: Path) -> dict[str, Any]:
    began = time.monotonic()

    def tell(line: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - began), 60)
        print(f"{minutes:3d}:{seconds:02d}  {line}", file=sys.stderr, flush=True)

    parts = arguments.parts or PARTS
    found: dict[str, Any] = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "system": platform.platform(),
            "cores": psutil.cpu_count(),
            "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
            "python": platform.python_version(),
        },
    }
    tell("starting Kafka and PostgreSQL")
    async with built(root) as house:
        for part in PARTS:
            if part in parts:
                found[part] = await _part(part, house, arguments, found, tell)
    return found


async def _part(part: str, house: House, given: argparse.Namespace, found: Mapping[str, Any], tell: Tell) -> Any:
    match part:
        case "ratio":
            within = inf if given.quick else rounds.WARM_WITHIN
            ratios = await rounds.measure(house, given.rounds, given.seconds, rounds.KINDS, tell, within=within)
            return ratios.as_json()
        case "latency":
            if "ratio" in found:
                rate = median(run["rate"] for run in found["ratio"]["workflow"][ERASURE.name])
            else:
                async with house.open():
                    rate = (await rounds.run_once(house, ERASURE, 5_000)).rate
            tell(f"latency at {rate / 2:,.0f} requests/s")
            return (await latency.measure(house, rate / 2, given.seconds)).as_json()
        case "growth":
            return (await growth.measure(house, given.open, given.rounds, given.seconds, tell)).as_json()
        case "replicas":
            return (await replicas.measure(house, given.service, given.rounds, given.seconds, tell)).as_json()
        case "memory":
            return (await memory.measure(house, given.requests, given.burst, tell)).as_json()
    raise ValueError(f"no part is called {part}")


def main() -> int:
    arguments = _arguments()
    try:
        with tempfile.TemporaryDirectory(prefix="habeas-bench-", ignore_cleanup_errors=True) as temporary:
            found = uvloop.run(_measure(arguments, arguments.root or Path(temporary) / "stack"))
    except KeyboardInterrupt:
        return 130
    except (StalledError, growth.NoRoomError, rounds.UnsteadyError, rounds.WrongOutcomeError) as error:
        print(f"The benchmark came to no result: {error}", file=sys.stderr)
        return 2
    arguments.json.write_text(json.dumps(found, indent=2) + "\n")
    return report.show(found)


if __name__ == "__main__":
    sys.exit(main())
