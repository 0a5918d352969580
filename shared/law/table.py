"""The clocks as the documentation shows them. `python -m shared.law.table` prints what stands in docs/law.md."""

from collections.abc import Iterator
from typing import Final, assert_never

from habeas.contracts.vocabulary import Right
from shared.law.regime import Clock, LastDay, Regime, regimes

_HEAD: Final = (
    "regime",
    "rights",
    "first period",
    "extension",
    "clock starts",
    "pauses",
    "last day that is not worked",
    "source",
)


def clocks() -> str:
    """Markdown: a row for every clock, then what has to be known beside it."""
    rows = [_HEAD, ["---"] * len(_HEAD), *(_row(known, clock) for known in _all() for clock in known.clocks)]
    table = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    return f"{table}\n{''.join(line for known in _all() for line in _beside(known))}"


def _all() -> list[Regime]:
    """Those first of which more than the clock is known."""
    return sorted(regimes().values(), key=lambda each: (each.clock_only, each.code))


def _row(known: Regime, clock: Clock) -> tuple[str, ...]:
    return (
        f"`{known.code}`{' (clock only)' if known.clock_only else ''}",
        _rights(clock),
        str(clock.first),
        _extension(clock),
        "receipt" if len(clock.starts) == 1 else f"the latest of {', '.join(sorted(clock.starts))}",
        _pauses(clock),
        _last_day(clock),
        f"{clock.source}{' (in part unverified)' if clock.unverified else ''}",
    )


def _rights(clock: Clock) -> str:
    return ", ".join(right for right in Right if right in clock.rights)


def _pauses(clock: Clock) -> str:
    if clock.pauses is None:
        return "none"
    questions = " or ".join(sorted(clock.pauses.questions))
    claim = ", as a claim" if clock.pauses.claim else ""
    return f"for {questions}{claim} ({clock.pauses.source})"


def _last_day(clock: Clock) -> str:
    match clock.last_day:
        case LastDay.NEXT_WORKING_DAY:
            return "the next working day"
        case LastDay.STANDS:
            return "stands"
        case _:
            assert_never(clock.last_day)


def _extension(clock: Clock) -> str:
    if clock.extension:
        return f"{clock.extension} more, from the same start"
    return "of no length that is set" if clock.extension_open else "none"


def _beside(known: Regime) -> Iterator[str]:
    yield f"- `{known.code}`: {known.title}.\n"
    for clock in known.clocks:
        for line in _notes(clock):
            yield f"  - {_rights(clock)}: {line}\n"


def _notes(clock: Clock) -> Iterator[str]:
    if clock.confirmation:
        yield f"the receipt is confirmed within {clock.confirmation}."
    if clock.extension_open:
        yield f"the answer can be put off: {clock.extension_open}."
    if clock.pauses is None and clock.no_pause != Clock.model_fields["no_pause"].default:
        yield f"no pause, as {clock.no_pause}."
    for note in clock.notes:
        yield f"{note[0].lower()}{note[1:]}"
    if clock.unverified:
        yield f"**unverified**, from memory of the text: {'; '.join(clock.unverified)}."


if __name__ == "__main__":
    print(clocks(), end="")  # noqa: T201 - what a person asked for
