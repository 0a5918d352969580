"""Whether a team's system keeps the contract: it is given tasks as the services would, and its answers are judged.

`Subject` says which system, `conform` runs the checks against it. The checks stand, by what they are about, in
`actions`, `repeats`, `cancellations`, `restarts`, `bad_records` and `everything`.
"""

from operations.conformance.bench import Bench, Subject
from operations.conformance.check import Check, Finding, State
from operations.conformance.people import People, Person, read_people, sample_people
from operations.conformance.run import CHECKS, conform

__all__ = [
    "CHECKS",
    "Bench",
    "Check",
    "Finding",
    "People",
    "Person",
    "State",
    "Subject",
    "conform",
    "read_people",
    "sample_people",
]
