"""`habeas docs`: the parts of the documentation that are made from the code, and checked against it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

PAGE = Path(__file__).parents[2] / "docs" / "operating.md"

PageOption = Annotated[Path, typer.Option("--page", help="The page with the markers.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    docs = typer.Typer(no_args_is_help=True, help="The tables of settings and commands in docs/operating.md.")
    docs.command("generate")(generate)
    docs.command("check")(check)
    app.add_typer(docs, name="docs")


def generate(page: PageOption = PAGE) -> None:
    """Write the tables of settings and commands anew after a change of the code."""
    text = page.read_text(encoding="utf-8")
    wanted = _made(text)
    if wanted != text:
        page.write_text(wanted, encoding="utf-8")
    typer.echo(f"{page}: {'unchanged' if wanted == text else 'written'}")


def check(page: PageOption = PAGE) -> None:
    """Say whether the tables fit the code; exit code 1 if not."""
    text = page.read_text(encoding="utf-8")
    if _made(text) != text:
        typer.echo(f"{page} does not fit the code: run `habeas docs generate` and check in what it writes.", err=True)
        raise typer.Exit(1)
    typer.echo("The tables fit the code.")


def _made(text: str) -> str:
    # Imports every service's and system's settings, and the command line itself: not before it is asked for.
    from operations.cli import build  # noqa: PLC0415
    from operations.reference import made  # noqa: PLC0415

    return made(text, build())
