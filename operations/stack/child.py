"""Exec a program so that it ends with the process that started it, SIGKILL included.

Run as `python -I -S child.py PARENT_PID USER -- COMMAND…`, USER being `UID:GID` or `-`. It exists because all of this
must happen between fork and exec, and code in a forked copy of a process with threads may deadlock (`preexec_fn`). Two
traps: setuid clears the parent-death signal, hence the order here; and the signal is sent when the *thread* that forked
ends, hence the supervisor forks from the thread its event loop runs in.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, user, _, *command = sys.argv[1:]
    if user != "-":
        uid, gid = (int(part) for part in user.split(":"))
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
        if os.getppid() != int(parent):  # it died before we asked: nobody would ever send the signal
            sys.exit(1)
    os.execv(command[0], command)  # noqa: S606 - no shell is the point


if __name__ == "__main__":
    main()
