"""What goes wrong when the law is asked."""


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
    """The clock cannot be extended."""

    def __init__(self, source: str) -> None:
        self.source = source
        super().__init__(f"{source} knows no extension: ask for the first period.")


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
        known = f"it does for {', '.join(rights)}" if rights else "only its clock is known here"
        super().__init__(f"What {right} reaches under {regulation} is not known: {known}.")


class NaiveTimeError(LawError):
    """An instant without a time zone."""

    def __init__(self) -> None:
        super().__init__("The time of receipt has no time zone: write it with an offset, in UTC best.")
