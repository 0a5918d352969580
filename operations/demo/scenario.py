"""What the demo asks for, and what has to come of each ask. Data alone: `stories.py` plays it, `checks.py` compares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from habeas.contracts.vocabulary import RequestOutcome, Right, SystemState, TaskOutcome
from habeas.portal import Correction, Details
from operations.demo import people
from systems import sample

PORTAL = "web"

ACCESS, ERASURE, LATER = "access", "erasure", "later"
PORTABILITY, RECTIFICATION, RESTRICTION = "portability", "rectification", "restriction"
OBJECTION, CONSENT = "objection", "consent"
FIRST, THEN = "first", "then"
VISITOR, CHILD, UNKNOWN, ELSEWHERE = "visitor", "child", "unknown", "elsewhere"
WITHDRAWN, MALFORMED = "withdrawn", "malformed"


class Work(StrEnum):
    """What the systems themselves use people's data for."""

    INVOICE = "invoice"
    REPLY = "reply"
    REPORT = "page report"
    MARKETING = "marketing mail"
    CHARGE = "charge"

    @property
    def system(self) -> str:
        return _SYSTEM[self]


_SYSTEM = {
    Work.INVOICE: "billing",
    Work.REPLY: "support",
    Work.REPORT: "analytics",
    Work.MARKETING: "analytics",
    Work.CHARGE: "payments",
}


class Moment(StrEnum):
    """When the systems try to use the data."""

    BEFORE = "before"
    AFTER = "after"
    LIFTED = "lifted"


DONE = "done"
Uses = Mapping[Moment, Mapping[Work, str]]
"""What comes of each use: done, or the reason why not."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One submission, and the end that it must come to."""

    key: str
    title: str
    """At most 15 characters: a column's width."""
    wish: str
    """What the person wants, in a few words: with the title a line of 80 columns."""
    right: Right
    outcome: RequestOutcome
    systems: Mapping[str, str]
    """How each system ends: the task's outcome, or `excluded`."""
    who: sample.Person | sample.Visitor | str = field(repr=False)
    """An address alone is nobody's in the sample."""
    proven: bool = True
    """Whether the portal has seen that the identity is theirs."""
    reporter: str | None = field(default=None, repr=False)
    """The address of a bystander, who asks in their stead."""
    details: Details = field(default=Details(), repr=False)
    uses: Uses = field(default_factory=dict)
    passes: tuple[str, ...] = ()
    """States that it must have been in on the way, each with its reason."""
    mails: tuple[str, ...] | None = None
    """The notices sent, each exactly once; None: received, and how it ended."""

    @property
    def name(self) -> str:
        match self.who:
            case sample.Person():
                return self.who.name
            case sample.Visitor():
                return "a visitor, by cookie"
        return "somebody unknown"

    @property
    def identity(self) -> tuple[str, str]:
        """Type and value."""
        match self.who:
            case sample.Person():
                return "email", self.who.email
            case sample.Visitor():
                return "visitor_id", self.who.visitor_id
        return "email", self.who

    @property
    def notices(self) -> tuple[str, ...]:
        return self.mails if self.mails is not None else ("acknowledged", self.outcome.value)

    def identifier(self, work: Work) -> str:
        """By which the system that does `work` knows the person."""
        if isinstance(self.who, sample.Person):
            match work:
                case Work.INVOICE | Work.REPORT:
                    return self.who.account_id
                case Work.CHARGE:
                    return self.who.payment_customer_id
        return self.identity[1]


def _ends(**given: str) -> Mapping[str, str]:
    """How the four systems end; those not named are not asked. Billing may be asked for identifiers alone."""
    names = ("billing", "support", "analytics", "payments")
    return {name: given.get(name, SystemState.EXCLUDED) for name in names}


_ALL = dict.fromkeys(("billing", "support", "analytics", "payments"), str(TaskOutcome.COMPLETED))
_OK, _NOTHING = str(TaskOutcome.COMPLETED), str(TaskOutcome.NOTHING_HELD)
_FORGOTTEN: Uses = {
    Moment.BEFORE: {Work.REPLY: DONE, Work.REPORT: DONE},
    Moment.AFTER: {Work.REPLY: "not_held", Work.REPORT: "not_held"},
}
_EVERY_USE = (Work.INVOICE, Work.REPLY, Work.REPORT, Work.CHARGE)

ASKS: tuple[Ask, ...] = (
    Ask(
        ACCESS,
        "access",
        "a copy of everything held",
        Right.ACCESS,
        RequestOutcome.PARTIALLY_COMPLETED,
        _ALL,
        people.READER,
    ),
    Ask(
        ERASURE,
        "erasure",
        "all deleted that no law wants kept",
        Right.ERASURE,
        RequestOutcome.PARTIALLY_COMPLETED,
        _ALL,
        people.LEAVER,
        uses=_FORGOTTEN,
    ),
    Ask(
        THEN,
        "letter: erasure",
        "all deleted, once a copy is made",
        Right.ERASURE,
        RequestOutcome.PARTIALLY_COMPLETED,
        _ALL,
        people.BOTH,
        uses=_FORGOTTEN,
        passes=("waiting: comes_after_another",),
    ),
    Ask(
        FIRST,
        "letter: copy",
        "that copy, published later",
        Right.ACCESS,
        RequestOutcome.COMPLETED,
        _ALL,
        people.BOTH,
    ),
    Ask(
        PORTABILITY,
        "portability",
        "what they gave, to take it elsewhere",
        Right.PORTABILITY,
        RequestOutcome.COMPLETED,
        _ends(billing=_OK, support=_OK, analytics=_OK),
        people.MOVER,
    ),
    Ask(
        RECTIFICATION,
        "rectification",
        "another name, told to who has the old",
        Right.RECTIFICATION,
        RequestOutcome.COMPLETED,
        _ends(billing=_OK),
        people.RENAMED,
        details=Details(corrections=(Correction(category="account", field="name", value=people.NEW_NAME),)),
    ),
    Ask(
        RESTRICTION,
        "restriction",
        "kept and not used, until lifted",
        Right.RESTRICTION,
        RequestOutcome.COMPLETED,
        _ALL,
        people.DISPUTED,
        uses={
            Moment.BEFORE: dict.fromkeys(_EVERY_USE, DONE),
            Moment.AFTER: dict.fromkeys(_EVERY_USE, "restricted"),
            Moment.LIFTED: dict.fromkeys(_EVERY_USE, DONE),
        },
        passes=("closed: restriction_lifted",),
        mails=("acknowledged", "completed", "restriction_lifting"),
    ),
    Ask(
        OBJECTION,
        "objection",
        "no marketing any more",
        Right.OBJECTION,
        RequestOutcome.COMPLETED,
        _ends(billing=_OK, analytics=_OK),
        people.OBJECTOR,
        details=Details(purposes=("marketing_messages",)),
        uses={
            Moment.BEFORE: {Work.MARKETING: DONE, Work.REPORT: DONE},
            Moment.AFTER: {Work.MARKETING: "objected", Work.REPORT: DONE},
        },
    ),
    Ask(
        CONSENT,
        "consent ended",
        "consent withdrawn",
        Right.CONSENT_WITHDRAWAL,
        RequestOutcome.COMPLETED,
        _ends(billing=_OK, analytics=_OK),
        people.TIRED,
        uses={Moment.BEFORE: {Work.MARKETING: DONE}, Moment.AFTER: {Work.MARKETING: "suppressed"}},
    ),
    Ask(
        VISITOR,
        "visitor",
        "known by a cookie, not to be counted",
        Right.OBJECTION,
        RequestOutcome.COMPLETED,
        _ends(analytics=_OK),
        people.VISITOR,
        uses={Moment.BEFORE: {Work.REPORT: DONE}, Moment.AFTER: {Work.REPORT: "objected"}},
        passes=("in_review: objection_to_weigh",),
        mails=("dpo_review",),
    ),
    Ask(
        CHILD,
        "child reported",
        "by a bystander, who learns nothing",
        Right.ERASURE,
        RequestOutcome.PARTIALLY_COMPLETED,
        _ALL,
        people.CHILD,
        proven=False,
        reporter=people.REPORTER,
        uses=_FORGOTTEN,
        passes=("triage: child_reported",),
        mails=("acknowledged", "dpo_triage", "completed"),
    ),
    Ask(
        UNKNOWN,
        "stranger",
        "a copy, for whom nobody knows",
        Right.ACCESS,
        RequestOutcome.NOTHING_HELD,
        _ends(billing=_NOTHING, support=_NOTHING),
        people.STRANGER,
    ),
    Ask(
        ELSEWHERE,
        "another's data",
        "a copy; another controller has it",
        Right.ACCESS,
        RequestOutcome.NOT_CONTROLLER,
        {},
        people.ELSEWHERE,
        proven=False,
        details=Details(categories=("own_installation",)),
        mails=("not_controller",),
    ),
    Ask(WITHDRAWN, "taken back", "a copy, and then not", Right.ACCESS, RequestOutcome.WITHDRAWN, {}, people.UNDECIDED),
    Ask(
        LATER,
        "access again",
        "a copy of what the erasure has left",
        Right.ACCESS,
        RequestOutcome.COMPLETED,
        _ends(billing=_OK, support=_NOTHING, analytics=_OK),
        people.LEAVER,
    ),
)
BY_KEY: Mapping[str, Ask] = {ask.key: ask for ask in ASKS}

MALFORMED_TITLE, MALFORMED_WISH = "malformed", "nothing that can be read: no JSON"
MALFORMED_VALUE = b'{"request_id": "here the portal'
MALFORMED_REASON = "not_json"

RECTIFIED_NOTICE = "completed"
"""The mail that must name `people.RECIPIENT`."""
COPIES = (ACCESS, FIRST, PORTABILITY, LATER)
"""Those that end with a copy, fetched by the link in the mail."""
