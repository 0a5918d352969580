"""What goes wrong when the law is asked."""

from datetime import date


class LawError(Exception):
    """Base of everything this package raises."""


class UnknownPlaceError(LawError):
    """No public holidays are known for the place."""

    def __init__(self, place: str) -> None:
        self.place = place
        super().__init__(
            f"No public holidays are known for the place {place!r}: write an ISO 3166-1 country ('IE') "
            "or an ISO 3166-2 subdivision ('DE-BE') that the package `holidays` knows."
        )


class UnknownRegulationError(LawError):
    """The regulation is none of those that stand here as data."""

    def __init__(self, regulation: str, known: tuple[str, ...]) -> None:
        self.regulation = regulation
        super().__init__(f"No regulation is called {regulation!r}: write one of {', '.join(known)}.")


class NoClockError(LawError):
    """The regulation sets no period for the right."""

    def __init__(self, regulation: str, right: str, rights: tuple[str, ...]) -> None:
        self.regulation = regulation
        self.right = right
        super().__init__(f"{regulation} sets no period for {right}: it does for {', '.join(rights)}.")


class NoExtensionError(LawError):
    """The clock cannot be extended by a length that is known."""

    def __init__(self, source: str, open_extension: str | None = None) -> None:
        self.source = source
        why = f"sets no length for an extension ({open_extension})" if open_extension else "knows no extension"
        super().__init__(f"{source} {why}: ask for the first period.")


class NoPauseError(LawError):
    """The clock does not stop for a question."""

    def __init__(self, source: str, about: str, why: str) -> None:
        self.source = source
        self.about = about
        super().__init__(f"This clock does not pause for {about}: {why} ({source}). Ask without a pause.")


class PauseOrderError(LawError):
    """A question whose times contradict each other or the request's."""

    def __init__(self, asked: date, answered: date | None = None, *, received: date | None = None) -> None:
        self.asked = asked
        self.answered = answered
        self.received = received
        wrong = f"answered on {answered}" if answered else f"about a request that was received on {received}"
        super().__init__(f"A question asked on {asked} cannot be {wrong}: write FROM as the day it was asked.")


class UnknownGroundError(LawError):
    """The code is no ground of the catalogue."""

    def __init__(self, code: str, known: tuple[str, ...]) -> None:
        self.code = code
        super().__init__(f"No ground has the code {code!r}: write one of {', '.join(known)}.")


class NoReachError(LawError):
    """The regulation as it stands here does not say what the right reaches."""

    def __init__(self, regulation: str, right: str, rights: tuple[str, ...]) -> None:
        self.regulation = regulation
        self.right = right
        super().__init__(f"What {right} reaches under {regulation} is not known: it is for {', '.join(rights)}.")


class ClockOnlyError(LawError):
    """Of the regulation only the clock is known: a due date can be computed, nothing else."""

    def __init__(self, regulation: str, whole: tuple[str, ...]) -> None:
        self.regulation = regulation
        super().__init__(
            f"Of {regulation} only the clock is known here, not what its rights reach: `habeas deadline` computes its "
            f"due dates, and a person carries out what is asked. Write one of {', '.join(whole)}."
        )


class NaiveTimeError(LawError):
    """An instant without a time zone."""

    def __init__(self) -> None:
        super().__init__("The instant has no time zone: write it with an offset, in UTC best.")
