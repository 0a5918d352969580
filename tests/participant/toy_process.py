"""The toy as a process of its own: `python -m tests.participant.toy_process`, settings as any system's, and

TOY_NAME its name; TOY_STRIKE=kill to die by SIGKILL after an erasure's effect, =raise to fail there each time.
"""

import os
import signal

from habeas.participant import Task, data_folder
from tests.participant.toys import Toy, sqlite_kit


def strike(_: Task) -> None:
    match os.environ.get("TOY_STRIKE"):
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "raise":
            raise ValueError("ada@example.org is not to be seen in logs")


if __name__ == "__main__":
    Toy(sqlite_kit(data_folder()), name=os.environ["TOY_NAME"], after=strike).participant().run()
