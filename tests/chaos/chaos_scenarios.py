"""All scenarios there are."""

from __future__ import annotations

from typing import Final

from chaos_faults import Scenario
from killed_services import ALL_KILLED, KILLED
from zombies import ZOMBIES

SCENARIOS: Final[tuple[Scenario, ...]] = (KILLED, ALL_KILLED, ZOMBIES)
