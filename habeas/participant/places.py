"""Where an error comes from, as far as it may be told."""

import traceback
from pathlib import Path


def where(error: BaseException) -> str:
    """File and line of the innermost frame. An error's own text may quote data, so it is never logged."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "unknown"
