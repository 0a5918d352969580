"""`habeas contract`: the documents of the contract, made from the models and checked against them."""

from pathlib import Path
from typing import Annotated

import typer

from habeas.contracts.documents import documents

DEFAULT_FOLDER = Path(__file__).parents[2] / "docs" / "contract"

FolderOption = Annotated[Path, typer.Option("--folder", help="Where the contract's documents are kept.")]


def generate(folder: Path) -> list[Path]:
    """Writes the documents into `folder` and removes schemas of messages that are no more; returns what changed."""
    drifted = check(folder)
    made = documents()
    for name in drifted:
        path = folder / name
        if name in made:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(made[name])
        else:
            path.unlink()
    return [folder / name for name in drifted]


def check(folder: Path) -> list[str]:
    """Names of the documents in `folder` that are missing, differ from what the models say, or are left over."""
    made = documents()
    differing = [
        name
        for name, content in made.items()
        if not (folder / name).is_file() or (folder / name).read_bytes() != content
    ]
    left_over = [f"schemas/{path.name}" for path in sorted((folder / "schemas").glob("*.json"))]
    return differing + [name for name in left_over if name not in made]


def register(app: typer.Typer) -> None:
    """Adds `contract generate` and `contract check` to `app`."""
    contract = typer.Typer(no_args_is_help=True, help="The contract's schemas, AsyncAPI document and test vectors.")
    contract.command("generate")(_generate)
    contract.command("check")(_check)
    app.add_typer(contract, name="contract")


def _generate(folder: FolderOption = DEFAULT_FOLDER) -> None:
    """Write the documents anew after a change of the models."""
    changed = generate(folder)
    for path in changed:
        typer.echo(path)
    typer.echo(f"{len(changed)} changed")


def _check(folder: FolderOption = DEFAULT_FOLDER) -> None:
    """Say whether the documents fit the models; exit code 1 if not."""
    drifted = check(folder)
    for name in drifted:
        typer.echo(f"{name} does not fit the models", err=True)
    if drifted:
        typer.echo("Run `habeas contract generate` and check in what it writes.", err=True)
        raise typer.Exit(1)
    typer.echo("The contract's documents fit the models.")
