"""The event loop: uvloop where there is one. And the garbage collector, told to look less often."""

import asyncio
import gc
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

if sys.platform != "win32":
    import uvloop

Result = TypeVar("Result")

_ALLOCATIONS = 50_000
"""Between two looks of the garbage collector. A batch makes tens of thousands of objects that die by themselves: at
Python's 700 a fifth of a service's time went into looking at them."""


def run_loop(main: Coroutine[Any, Any, Result]) -> Result:
    gc.freeze()  # what was imported stays
    gc.set_threshold(_ALLOCATIONS)
    if sys.platform == "win32":
        return asyncio.run(main)
    return uvloop.run(main)
