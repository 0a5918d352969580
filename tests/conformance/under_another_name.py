"""One of our systems beside the one that the stack runs: `python -m tests.conformance.under_another_name billing X`."""

import importlib
import sys


def main() -> None:
    system, name = sys.argv[1:]
    participant = getattr(importlib.import_module(f"systems.{system}.app"), system)
    participant.name = name
    participant.run()


if __name__ == "__main__":
    main()
