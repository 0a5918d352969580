"""The demonstration's people: the same everywhere, and rich enough to show what the policy says."""

import os
import subprocess
import sys

from systems import sample

_DIGEST = """
import hashlib; from systems import sample
everything = sample.people(), sample.visitors(), [sample.conversations(n) for n in range(1, sample.PEOPLE + 1)]
print(hashlib.sha256(repr(everything).encode()).hexdigest())
"""


def test_the_sample_is_the_same_in_every_process() -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-c", _DIGEST],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


def test_a_thousand_people_and_two_hundred_visitors_none_like_another() -> None:
    people, visitors = sample.people(), sample.visitors()
    assert (len(people), len(visitors)) == (1000, 200)
    for member in ("name", "email", "account_id", "payment_customer_id"):
        assert len({getattr(someone, member) for someone in people}) == 1000
    assert len({visitor.visitor_id for visitor in visitors}) == 200
    assert sample.person(23) == people[22]


def test_numbers_tell_what_people_have() -> None:
    people = {someone.number: someone for someone in sample.people()}
    assert people[7].contract_until is None
    assert people[8].contract_until is not None
    assert sample.conversations(5) == ()
    third = sample.conversations(3)[0]
    assert {message.email for message in third.messages} == {people[3].email, people[4].email, None}
    assert len(people[4].invoices) == 1
    assert len(people[3].invoices) > 1
    assert people[2].marketing_since is not None
    assert people[3].marketing_since is None
    assert people[14].fraud_signal is not None
    assert people[14].claim_open
    assert people[24].fraud_signal is not None
    assert not people[24].claim_open


def test_addresses_are_nobody_s() -> None:
    assert all(someone.email.endswith("@example.org") for someone in sample.people())
    addresses = {visit.ip for someone in sample.people() for visit in someone.visits}
    assert all(address.startswith(("198.51.100.", "2001:db8::")) for address in addresses)
