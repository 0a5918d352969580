"""Run one service or one system in this process.

`python -m operations.programs service|system NAME` is what a stack runs: it starts sooner than the whole command line.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys

from operations.errors import OperationsError, UsageError

SERVICES = ("intake", "fanout", "collector", "notifier")
SYSTEMS = ("billing", "support", "analytics", "payments")


def run_service(name: str) -> None:
    """Run until it ends. Raises UsageError when there is no such service."""
    _run("services", name, SERVICES)


def run_system(name: str) -> None:
    """Run until it ends. Raises UsageError when there is no such system."""
    _run("systems", name, SYSTEMS)


def _run(package: str, name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        raise UsageError(f"There is no {name!r} among the {package}: {', '.join(known)}.")
    module = f"{package}.{name}.app"
    if importlib.util.find_spec(module) is None:
        raise UsageError(f"{module} is not there: is this a whole checkout?")
    importlib.import_module(module).main()


def main() -> None:
    kind, name = sys.argv[1:]
    try:
        {"service": run_service, "system": run_system}[kind](name)
    except OperationsError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
