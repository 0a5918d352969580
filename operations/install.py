"""Make `.venv` from the lock file. Runs with nothing but a bare Python: the standard library, any version from 3.6.

    python3 operations/install.py

Does nothing where the lock has not changed since. Exits with 3 and a sentence on what to do where the machine lacks
something.
"""

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLACE = ROOT / ".venv"
BIN = PLACE / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / "python"
STAMP = PLACE / "installed"
LOCK = ROOT / "requirements.lock"

OLDEST = (3, 11)
NO_NETWORK = (
    "ConnectTimeout",
    "Network is unreachable",
    "NewConnectionError",
    "No matching distribution",
    "ProxyError",
    "SSLError",
    "Temporary failure",
)
COMMAND = """#!{python}
from operations.cli import main

main()
"""


def main():
    if sys.version_info < OLDEST:
        here = ".".join(map(str, sys.version_info[:2]))
        stop(f"Habeas needs Python 3.11 or newer; this is {here}. Name another: make PYTHON=python3.12 …")
    wanted = fingerprint()
    if installed() == wanted:
        return
    say("Setting up .venv from requirements.lock (once; a minute or two with an empty cache)")
    make_venv()
    lines = LOCK.read_text(encoding="utf-8").splitlines()
    pip(["install", "--require-hashes", "--requirement", str(LOCK)], sum("==" in line for line in lines))
    pip(["install", "--no-deps", "--no-build-isolation", "--editable", str(ROOT)])
    command = BIN / "habeas"
    command.write_text(COMMAND.format(python=PYTHON), encoding="utf-8")
    command.chmod(0o755)
    STAMP.write_text(wanted, encoding="utf-8")
    say("Set up: .venv/bin/habeas --help")


def fingerprint():
    """Return what .venv has to have been made from."""
    digest = hashlib.sha256(f"{sys.version} {ROOT}".encode())
    for path in (LOCK, Path(__file__)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def installed():
    """Return what .venv was made from, or None where it is not whole."""
    try:
        return STAMP.read_text(encoding="utf-8") if PYTHON.exists() else None
    except OSError:
        return None


def make_venv():
    try:
        import ensurepip  # noqa: F401, PLC0415 - Debian and Ubuntu ship it apart
    except ImportError:
        stop("This Python cannot make virtual environments: install its venv package (Debian, Ubuntu: python3-venv).")
    try:
        venv.create(str(PLACE), with_pip=True, clear=True)
    except (OSError, subprocess.CalledProcessError) as error:
        stop(f"Cannot make {PLACE}: {error}. Is the disk full, or the folder not yours?")


def pip(arguments, packages=0):
    """Run pip, telling how far it is; its own words only when it fails."""
    command = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
    told = []
    seen = 0
    with subprocess.Popen(  # noqa: S603 - our own pip
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, cwd=str(ROOT)
    ) as process:
        for line in process.stdout or ():
            told.append(line)
            if line.startswith("Collecting ") and packages:
                seen += 1
                if seen % 20 == 0:
                    say(f"  {seen} of {packages} packages")
            elif line.startswith("Installing collected packages") and packages:
                say("  all fetched; installing")
    if process.returncode == 0:
        return
    sys.stderr.writelines(told[-12:])
    text = "".join(told)
    if "No space left" in text:
        stop("The disk is full: Habeas needs about 2 GB for .venv and the local stack.")
    if any(sign in text for sign in NO_NETWORK):
        stop(
            "The package index cannot be reached. Only the first run needs the network: check the connection, "
            "or name a mirror in PIP_INDEX_URL."
        )
    stop("pip failed; its last words stand above.")


def say(text):
    print(text, flush=True)


def stop(text):
    sys.stderr.write(f"{text}\n")
    sys.exit(3)


if __name__ == "__main__":
    main()
