"""All scenarios there are."""

from __future__ import annotations

from typing import Final

from broken_postgres import POSTGRES_CUT, POSTGRES_READ_ONLY, POSTGRES_SHUT_DOWN
from chaos_faults import Scenario
from everything import mixture
from killed_services import ALL_KILLED, KILLED
from moody_mail import MAIL
from refusing_postgres import POSTGRES_FULL, POSTGRES_SLOW
from restarted_kafka import KAFKA
from store_away import STORE
from zombies import ZOMBIES

_EACH: Final = (
    KILLED,
    ALL_KILLED,
    ZOMBIES,
    KAFKA,
    POSTGRES_SHUT_DOWN,
    POSTGRES_CUT,
    POSTGRES_READ_ONLY,
    POSTGRES_FULL,
    POSTGRES_SLOW,
    MAIL,
    STORE,
)
SCENARIOS: Final[tuple[Scenario, ...]] = (
    *_EACH,
    mixture("everything", "faults of all kinds at the same time", _EACH),
)
"""Those that a run goes through."""
SHORT: Final = mixture("short", "a little of everything that heals within seconds", (KILLED, POSTGRES_CUT, MAIL, STORE))
"""Only where it is asked for: what the tests have time for."""
