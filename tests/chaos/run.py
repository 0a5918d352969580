"""Break the stack at random under load, and prove that nothing is lost. `python tests/chaos/run.py --help`."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import secrets
import sys
import time
from pathlib import Path

from chaos_run import Result, Settings, run
from chaos_scenarios import SHORT, rotation

from operations.errors import OperationsError

SHOWN = 25  # findings in a report


def main() -> None:
    settings, as_json = _settings(sys.argv[1:])
    out = sys.stderr if as_json else sys.stdout
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # that Kafka is away is what we do to it
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # that the dead left something undone as well
    start = time.monotonic()

    def tell(line: str) -> None:
        print(f"[{time.monotonic() - start:6.1f}] {line}", file=out, flush=True)

    print(f"seed {settings.seed}: the same requests and faults again with --seed {settings.seed}", file=out)
    try:
        result = asyncio.run(run(settings, tell))
    except KeyboardInterrupt:
        sys.exit("Stopped before the end; everything is down.")
    except OperationsError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
    print(json.dumps(result.as_json(), indent=1) if as_json else report(result))  # noqa: T201
    sys.exit(0 if result.holds else 1)


def report(result: Result) -> str:
    """What was done, what was found, for a person."""
    settings = result.settings
    lines = [
        "",
        f"{result.requests} requests, {result.faults} faults in {settings.seconds:g} s, "
        f"quiet after {result.seconds_to_quiet:.0f} s more; seed {settings.seed}",
        f"  outcomes      {_counts(result.outcomes)}",
        f"  twists        {_counts(result.twists)}",
        f"  seen          {result.statuses} statuses, {result.tasks} tasks, {result.mails} mails, "
        f"{result.dead_letters} dead letters",
        f"  repeated mails  {_counts(result.repeats) or 'none'}",
        f"  between processes  {result.series.runs} runs, {result.series.deaths} deaths at "
        f"{len(result.series.struck)} points; repeated mails: {_counts(result.series.repeats) or 'none'}",
    ]
    if result.holds:
        lines.append("✔ every submission reconciled: none lost, none stuck, none closed twice, no wrong outcome")
    else:
        lines.append(f"✖ {len(result.findings)} findings")
        lines += [f"  {finding}" for finding in result.findings[:SHOWN]]
        if len(result.findings) > SHOWN:
            lines.append(f"  … and {len(result.findings) - SHOWN} more (--json has all)")
        lines.append(f"  logs: {settings.root / 'log'}")
    return "\n".join(lines)


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items(), key=lambda item: -item[1]))


def _settings(arguments: list[str]) -> tuple[Settings, bool]:
    known = {scenario.name: scenario for scenario in (*rotation(1), *rotation(3), SHORT)}
    parser = argparse.ArgumentParser(
        prog="run.py",
        description="Starts a local stack of its own, puts load on it, breaks it at random, lets it come to rest, and "
        "reconciles every submission against statuses, tasks, results and mails. Exit code 0: all of it holds.",
        epilog="Scenarios take turns of at most 40 seconds, in an order of chance.",
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="how long faults last (10)")
    parser.add_argument("--seed", type=int, help="of requests and faults; left out, a new one is drawn and printed")
    parser.add_argument("--rate", type=float, default=8.0, help="requests a second (8)")
    parser.add_argument("--replicas", type=int, default=2, help="processes of each service (2)")
    parser.add_argument("--brokers", type=int, choices=(1, 3), default=1, help="Kafka nodes (1)")
    parser.add_argument(
        "--crashes", type=int, help="runs of deaths at every point between two writes, afterwards (one a minute)"
    )
    parser.add_argument("--only", action="append", choices=sorted(known), help="this scenario; can be given again")
    parser.add_argument("--root", type=Path, default=Path(".habeas/chaos"), help="the stack's folder (.habeas/chaos)")
    parser.add_argument("--json", action="store_true", help="the result as JSON on stdout, progress on stderr")
    parser.add_argument("--list", action="store_true", help="the scenarios, and no run")
    parser.add_argument("--plan", action="store_true", help="the faults that the seed draws, and no run")
    given = parser.parse_args(arguments)
    if given.list:
        print("\n".join(f"{each.name:20}{each.about}" for each in known.values()))  # noqa: T201
        sys.exit(0)
    settings = Settings(
        seed=secrets.randbelow(1_000_000) if given.seed is None else given.seed,
        seconds=given.minutes * 60,
        rate=given.rate,
        replicas=given.replicas,
        root=given.root,
        scenarios=[known[name] for name in given.only] if given.only else rotation(given.brokers),
        brokers=given.brokers,
        crashes=round(given.minutes) if given.crashes is None else given.crashes,
    )
    if given.plan:
        for slot in settings.slots:
            print(f"{slot.begins:7.1f} {slot.scenario.name}")  # noqa: T201
            for fault in slot.faults:
                print(f"{fault.at:7.1f}   {fault.what}")  # noqa: T201
        sys.exit(0)
    return settings, given.json


if __name__ == "__main__":
    main()
