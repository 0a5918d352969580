"""All scenarios there are."""

from __future__ import annotations

from typing import Final

from broken_postgres import POSTGRES_CUT, POSTGRES_READ_ONLY, POSTGRES_SHUT_DOWN
from brokers import BROKERS
from chaos_faults import Scenario
from everything import mixture
from full_disk import FULL_DISK, POSSIBLE
from killed_services import ALL_KILLED, KILLED
from moody_mail import MAIL
from poison import POISON
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
_OF_THREE: Final = tuple(BROKERS if each is KAFKA else each for each in _EACH)


def rotation(brokers: int) -> tuple[Scenario, ...]:
    """The scenarios that a run goes through, on so many Kafka nodes."""
    each = _EACH if brokers == 1 else _OF_THREE
    full = (FULL_DISK,) if POSSIBLE else ()
    return (*each, POISON, *full, mixture("everything", "faults of all kinds at the same time", each, (1.5, 4.0)))


SHORT: Final = mixture(
    "short",
    "a little of everything that heals within seconds",
    (KILLED, POSTGRES_CUT, MAIL, STORE),
    (0.7, 1.5),
)
"""Only where it is asked for: what the tests have time for."""
