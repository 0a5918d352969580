"""The `habeas` command.

A new command goes into a module of `operations/commands/` with a `register(app)`, and that module into `MODULES`.
Commands raise an OperationsError for what the person at the keyboard can mend; its text and exit code are all they see.
"""

from __future__ import annotations

import sys
from importlib import import_module

import typer

from operations.errors import DiskFullError, OperationsError, is_disk_full

MODULES = (
    "stack",
    "ps",
    "demo",
    "set_up",
    "rules",
    "contract",
    "docs",
    "submit",
    "clock",
    "requests",
    "status",
    "dead_letters",
    "topics",
    "decide",
    "conformance",
    "use",
)


def build() -> typer.Typer:
    """Return the application with all commands."""
    app = typer.Typer(
        help="Habeas: data subject requests as events.",
        no_args_is_help=True,
        # A traceback with local variables could print what people wrote.
        pretty_exceptions_enable=False,
    )
    for name in MODULES:
        import_module(f"operations.commands.{name}").register(app)
    return app


def main() -> None:
    """Run the command line. Exit codes: 0 fine, 1 failed, 2 usage, 3 the machine stands in the way."""
    try:
        build()(prog_name="habeas")
    except OperationsError as error:
        print(f"habeas: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:
        if not is_disk_full(error):
            raise
        full = DiskFullError(error.filename or "the disk")
        print(f"habeas: {full}", file=sys.stderr)
        sys.exit(full.exit_code)


if __name__ == "__main__":
    main()
