"""`python -m bench`: what the workflow does on this machine, as a table, as JSON, and as one last line of ratios."""

import argparse
import json
import platform
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import uvloop

from bench import latency, report, rounds
from bench.house import built
from bench.load import ERASURE
from bench.pipe import StalledError

PARTS = ("ratio", "latency")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench",
        description="Measures the four services as they are shipped, beside the same messages and nothing behind them.",
        epilog="The machine should have nothing else to do. Exit code 1 where a target is missed.",
    )
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help=f"what to measure: {', '.join(PARTS)} (all)")
    parser.add_argument("--rounds", type=int, default=3, help="of pipe - workflow - pipe (3)")
    parser.add_argument("--seconds", type=float, default=20, help="that each run lasts at least (20)")
    parser.add_argument("--json", type=Path, default=Path("bench.json"), help="where the figures go (bench.json)")
    parser.add_argument("--root", type=Path, help="folder of the local stack; a temporary one otherwise")
    return parser.parse_args()


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
        rate = 0.0
        if "ratio" in parts:
            ratios = await rounds.measure(house, arguments.rounds, arguments.seconds, rounds.KINDS, tell)
            found["ratio"] = ratios.as_json()
            rate = ratios.rate("workflow")
        if "latency" in parts:
            if not rate:
                async with house.open():
                    rate = (await rounds.run_once(house, ERASURE, 5_000)).rate
            tell(f"latency at {rate / 2:,.0f} requests/s")
            found["latency"] = (await latency.measure(house, rate / 2, arguments.seconds)).as_json()
    return found


def main() -> int:
    arguments = _arguments()
    try:
        with tempfile.TemporaryDirectory(prefix="habeas-bench-", ignore_cleanup_errors=True) as temporary:
            found = uvloop.run(_measure(arguments, arguments.root or Path(temporary) / "stack"))
    except KeyboardInterrupt:
        return 130
    except (StalledError, rounds.UnsteadyError, rounds.WrongOutcomeError) as error:
        print(f"The benchmark came to no result: {error}", file=sys.stderr)
        return 2
    arguments.json.write_text(json.dumps(found, indent=2) + "\n")
    return report.show(found)


if __name__ == "__main__":
    sys.exit(main())
