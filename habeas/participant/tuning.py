"""The numbers the library works with. The defaults suit a system that answers within seconds."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Tuning:
    batch: int = 500
    """Records taken at once."""
    poll: float = 0.5
    """Seconds one poll waits for records; a stop is noticed within it."""
    session: float = 6.0
    """Seconds of silence after which Kafka takes a process for dead and gives its records to another. A process that
    was killed waits as long when it comes back."""
    tries: int = 5
    """Runs of a function, or of a batch whose store is away, before the process stops to be restarted."""
    first_pause: float = 0.2
    longest_pause: float = 10.0
    """Seconds between tries: random, doubling up to the longest."""
    longest_retrying: float = 60.0
    """Seconds after which no further try is begun, however many are left."""
    deliveries: int = 5
    """Starts of one task, across restarts, before it is answered `failed`."""
    key_pauses: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
    """Seconds between looks into the key file for a key it does not hold yet."""
    send_timeout: float = 20.0
    """Seconds for Kafka to confirm a batch of answers: an idempotent producer does not give up by itself."""
    live_within: float = 120.0
    """Seconds since the last poll after which `/health/live` says no. Kafka's own limit is 300."""
    keep_answers: timedelta = timedelta(days=150)
    """How long answers are kept: longer than the tasks stand in their topic."""
