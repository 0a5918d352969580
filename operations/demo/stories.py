"""The play: each request is a story of its own, and all are told at once, while parts of the stack are struck.

Act 1    before anybody asks: what the systems use people's data for
Act 2    everybody asks, while analytics is stopped
Act 3    the collector is killed in the midst of it, and more people ask
Act 4    analytics awakes, everything ends, and what came of it is tried
"""

from __future__ import annotations

import asyncio
from uuid import uuid4

from habeas.contracts.command import CommandClassify, CommandLift, CommandWeigh, Verdict
from habeas.contracts.vocabulary import Right
from operations.compose.engine import START
from operations.demo import people
from operations.demo.play import SLEEPER, VICTIM, Demo
from operations.demo.scenario import (
    ACCESS,
    ASKS,
    CHILD,
    CONSENT,
    ELSEWHERE,
    ERASURE,
    FIRST,
    LATER,
    OBJECTION,
    PORTABILITY,
    RECTIFICATION,
    RESTRICTION,
    THEN,
    UNKNOWN,
    VISITOR,
    WITHDRAWN,
    Moment,
)
from operations.demo.scene import Mark
from operations.demo.watch import PATIENCE, StalledError
from operations.errors import UsageError


class PlayedBeforeError(UsageError):
    """The people of the demo have asked for what they want on this stack before."""

    def __init__(self) -> None:
        super().__init__(
            "The demo has been played on this stack before: people whom it is to erase are gone, or have limits set. "
            f"Begin with an empty one: `docker compose down --volumes`, then `{START}`."
        )


async def play(demo: Demo) -> None:
    """Tell everything; returns when all of it is answered. What came to nothing stands in `demo.troubles`."""
    demo.act(1, "before anybody asks")
    await before_anybody_asks(demo)
    demo.act(2, f"everybody asks, with no {SLEEPER} there")
    await demo.stop(SLEEPER)
    await demo.together(
        blows(demo),
        an_access(demo),
        an_erasure_and_the_access_after_it(demo),
        two_in_one_letter(demo),
        a_portability(demo),
        a_rectification(demo),
        a_restriction(demo),
        an_objection_to_marketing(demo),
        a_consent_withdrawn(demo),
        a_visitor(demo),
        a_child_reported(demo),
        a_stranger(demo),
        what_another_controls(demo),
        a_request_taken_back(demo),
        nonsense(demo),
    )


async def before_anybody_asks(demo: Demo) -> None:
    """The systems go about their work. Raises PlayedBeforeError."""
    for ask in ASKS:
        if Moment.BEFORE in ask.uses:
            await demo.use(ask.key, Moment.BEFORE)
            if not demo.stage.is_fresh and not demo.came_as_expected(ask.key, Moment.BEFORE):
                raise PlayedBeforeError


# The blows


async def blows(demo: Demo) -> None:
    """Kill the victim in the midst of work; once only the sleeper is missing, start that."""
    struck = (ACCESS, ERASURE)
    try:
        await demo.until(
            lambda: all(demo.system_state(key, "payments") in ("asked", "working", "finished") for key in struck),
            "payments to be asked",
        )
        demo.act(3, f"the {VICTIM} dies, and more people ask")
        demo.blows.killed = await demo.kill(VICTIM)
    finally:
        demo.victim_gone.set()  # in any case: others wait for it
    demo.blows.waiting = await demo.see_work_pile_up(VICTIM)
    demo.high_point()
    await demo.stage.stack.wait_ready(VICTIM, attempts=5)
    demo.blows.back = demo.stage.stack.processes[VICTIM].pid
    demo.display.happened(f"{VICTIM} is back (pid {demo.blows.back}) and takes up what waited", Mark.MEND)

    def only_the_sleeper_is_missing() -> bool:
        return demo.closed(UNKNOWN) and all(demo.waits_only_for(key, SLEEPER) for key in struck)

    await demo.until(only_the_sleeper_is_missing, f"only {SLEEPER} to be missing")
    demo.blows.waited = only_the_sleeper_is_missing()
    await demo.until(lambda: demo.closed(WITHDRAWN), "the request taken back to close")
    demo.act(4, f"all that is missing now is {SLEEPER}: it is started")
    await demo.start(SLEEPER)


# The stories, one of each person


async def an_access(demo: Demo) -> None:
    await demo.submit(ACCESS)
    await demo.closes(ACCESS)


async def an_erasure_and_the_access_after_it(demo: Demo) -> None:
    await demo.submit(ERASURE)
    await demo.closes(ERASURE)
    await demo.use(ERASURE, Moment.AFTER)
    await demo.submit(LATER)
    await demo.closes(LATER)


async def two_in_one_letter(demo: Demo) -> None:
    """A copy, and erasure after it; whichever is published first, the copy is made first."""
    case_id = uuid4()
    await demo.submit(THEN, case_id=case_id, after=(demo.request_id(FIRST),))
    await demo.reaches(THEN, "waiting: comes_after_another")
    await demo.submit(FIRST, case_id=case_id)
    await demo.closes(FIRST, THEN)
    await demo.use(THEN, Moment.AFTER)


async def a_portability(demo: Demo) -> None:
    await demo.submit(PORTABILITY)
    await demo.closes(PORTABILITY)


async def a_rectification(demo: Demo) -> None:
    """Another name; whoever got the old one is told of the new one (GDPR Art. 19)."""
    await demo.submit(RECTIFICATION)
    await demo.closes(RECTIFICATION)
    customer = people.RENAMED.payment_customer_id
    try:
        async with asyncio.timeout(PATIENCE):
            while await demo.ask_the_processor(customer) != people.NEW_NAME:  # noqa: ASYNC110 - it announces nothing
                await asyncio.sleep(0.2)
    except TimeoutError:
        raise StalledError("the payment processor to be told of the new name") from None
    demo.told_recipient = True
    demo.display.happened("the payment processor has been told of the new name", Mark.USE)


async def a_restriction(demo: Demo) -> None:
    """Kept, and not used, until it is lifted; of which the person is told before (GDPR Art. 18)."""
    await demo.submit(RESTRICTION)
    await demo.closes(RESTRICTION)
    await demo.use(RESTRICTION, Moment.AFTER)
    await demo.decide(CommandLift, RESTRICTION, "lift {} --reason dispute_settled", reason="dispute_settled")
    await demo.reaches(RESTRICTION, "closed: restriction_lifted")
    await demo.use(RESTRICTION, Moment.LIFTED)


async def an_objection_to_marketing(demo: Demo) -> None:
    await demo.submit(OBJECTION)
    await demo.closes(OBJECTION)
    await demo.use(OBJECTION, Moment.AFTER)


async def a_consent_withdrawn(demo: Demo) -> None:
    await demo.submit(CONSENT)
    await demo.closes(CONSENT)
    await demo.use(CONSENT, Moment.AFTER)


async def a_visitor(demo: Demo) -> None:
    """Somebody without an account, known by a cookie, objects to being counted; a person weighs it."""
    await demo.submit(VISITOR)
    await demo.reaches(VISITOR, "in_review: objection_to_weigh")
    said = "weigh {} --uphold --reason no_overriding_grounds"
    await demo.decide(CommandWeigh, VISITOR, said, verdict=Verdict.UPHELD, reason="no_overriding_grounds")
    await demo.closes(VISITOR)
    await demo.use(VISITOR, Moment.AFTER)


# These ask while the victim is gone


async def a_child_reported(demo: Demo) -> None:
    """A bystander reports a child's data: a person looks at it, and the bystander learns nothing of what was held."""
    await demo.victim_gone.wait()
    await demo.submit(CHILD)
    await demo.reaches(CHILD, "triage: child_reported")
    said = "classify {} --right erasure --authorised --revision 1 --reason child_reported"
    await demo.decide(
        CommandClassify, CHILD, said, right=Right.ERASURE, authorised=True, revision=1, reason="child_reported"
    )
    await demo.closes(CHILD)
    await demo.use(CHILD, Moment.AFTER)


async def a_stranger(demo: Demo) -> None:
    await demo.victim_gone.wait()
    await demo.submit(UNKNOWN)
    await demo.closes(UNKNOWN)


async def what_another_controls(demo: Demo) -> None:
    await demo.victim_gone.wait()
    await demo.submit(ELSEWHERE)
    await demo.closes(ELSEWHERE)


async def a_request_taken_back(demo: Demo) -> None:
    await demo.submit(WITHDRAWN)
    await demo.victim_gone.wait()
    await demo.withdraw(WITHDRAWN)
    await demo.closes(WITHDRAWN)


async def nonsense(demo: Demo) -> None:
    await demo.submit_malformed()
    await demo.until(demo.refusal_is_told, "the refusal of the malformed submission")
