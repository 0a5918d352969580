"""What the actions do to one another, as far as an answer given earlier depends on it."""

from collections.abc import Mapping

from habeas.contracts.vocabulary import Action, Did

READING = frozenset({Action.LOCATE, Action.ACCESS, Action.EXPORT})
"""Actions that change nothing: asked again, they tell what there is by then."""

UNDONE_BY: Mapping[str, frozenset[str]] = {
    Action.RESTRICT: frozenset({Action.UNRESTRICT}),
    Action.OBJECT: frozenset({Action.UNRESTRICT}),
    Action.UNRESTRICT: frozenset({Action.RESTRICT, Action.OBJECT}),
}
"""After which actions what one of these did does not stand any more. Nothing undoes an erasure or a rectification."""

ANEW = READING | {Action.HOLD}
"""Actions whose answer says all there is to say each time: a second hold's last day takes the place of the first's."""

ADDED_UP = frozenset({Did.DELETED, Did.ANONYMIZED, Did.PSEUDONYMIZED, Did.DETACHED, Did.REDACTED})
"""Records that are gone afterwards, or nobody's: a second attempt finds others, so its count comes on top.

Whatever else was done is said of the same records, or the same recipients, each time.
"""
