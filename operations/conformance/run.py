"""One run of the checks, in an order in which the later ones may rest on the earlier."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from time import monotonic

from operations.conformance import actions, bad_records, everything, repeats, restarts
from operations.conformance.bench import Bench
from operations.conformance.check import Check, ContractBrokenError, Finding, NotTriedError, State, UnsupportedError

CHECKS: tuple[Check, ...] = (
    *actions.CHECKS,
    *repeats.CHECKS,
    *bad_records.CHECKS,
    *restarts.CHECKS,
    *everything.CHECKS,
)


async def conform(
    bench: Bench,
    *,
    only: Collection[str] = (),
    begins: Callable[[Check], None] = lambda _: None,
    found: Callable[[Finding], None] = lambda _: None,
) -> Sequence[Finding]:
    """Run the checks (or those with an id in `only`), one after the other.

    Without the people of the test data there is nothing to judge by: then the others are not tried.
    """
    findings: list[Finding] = []
    for check in CHECKS:
        if not only or check.id in only:
            begins(check)
            lost = any(each.check.id == "people" and each.state is State.FAILS for each in findings)
            nothing = Finding(check, State.NOT_TRIED, "the people of the test data were not found")
            findings.append(nothing if lost else await _run(check, bench))
            found(findings[-1])
    return findings


async def _run(check: Check, bench: Bench) -> Finding:
    began = monotonic()
    deaths = bench.program.deaths if bench.program else 0
    state, detail = await _tried(check, bench)
    if bench.program and bench.program.deaths > deaths:
        state, detail = State.FAILS, "; ".join(filter(None, (detail, "the program ended by itself meanwhile")))
    return Finding(check, state, detail, round(monotonic() - began, 2))


async def _tried(check: Check, bench: Bench) -> tuple[State, str]:
    try:
        detail = await check.run(bench)
    except ContractBrokenError as error:
        return State.FAILS, str(error)
    except NotTriedError as error:
        return State.NOT_TRIED, str(error)
    except UnsupportedError as error:
        return State.UNSUPPORTED, str(error)
    return (State.REPORTED if check.measures else State.HOLDS), detail or ""
