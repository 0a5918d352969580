"""What is known of each request, and who waits to hear of it. Knows no Kafka: one feed tells it, any number follow."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from uuid import UUID

from habeas.contracts.status import StatusChanged, SubmissionRejected
from habeas.contracts.vocabulary import RequestState
from habeas.portal.errors import PortalError, Rejected, RequestPurgedError
from habeas.portal.news import News, Purged


@dataclass(frozen=True, slots=True)
class _Known:
    version: int
    status: bytes | None = field(repr=False)
    """The latest as JSON, which takes a fraction of the model's memory; None once purged."""


@dataclass(slots=True, eq=False)
class _Follower:
    request_id: UUID
    ce_id: UUID | None
    waiting: deque[StatusChanged | Exception] = field(default_factory=deque)
    woken: asyncio.Event = field(default_factory=asyncio.Event)

    def hear(self, said: StatusChanged | Exception) -> None:
        self.waiting.append(said)
        self.woken.set()

    async def next(self) -> StatusChanged:
        while not self.waiting:
            self.woken.clear()
            await self.woken.wait()
        said = self.waiting.popleft()
        if isinstance(said, Exception):
            raise said
        return said


class Board:
    def __init__(self) -> None:
        self._known: dict[UUID, _Known] = {}
        self._rejections: dict[UUID, SubmissionRejected] = {}
        self._followers: dict[UUID, set[_Follower]] = {}
        """By request, and by the ce_id of the message whose refusal would end the following."""

    @property
    def followers(self) -> int:
        return len({follower for group in self._followers.values() for follower in group})

    def take(self, news: News) -> None:
        """Note it and tell those who follow. An older version, or the same again, changes nothing."""
        match news:
            case StatusChanged():
                known = self._known.get(news.request_id)
                if known is not None and (known.status is None or known.version >= news.version):
                    return
                self._known[news.request_id] = _Known(
                    news.version, news.model_dump_json(exclude_defaults=True).encode()
                )
                self._tell(news.request_id, news)
            case SubmissionRejected():
                self._rejections[news.ce_id] = news
                self._tell(news.ce_id, Rejected(news))
            case Purged():
                self._rejections.pop(news.request_id, None)
                known = self._known.get(news.request_id)
                self._known[news.request_id] = _Known(known.version if known else 0, None)
                self._tell(news.request_id, RequestPurgedError(news.request_id))

    def fail(self, error: PortalError) -> None:
        """Nothing more will come: raise `error` for everybody who follows."""
        for group in self._followers.values():
            for follower in group:
                follower.hear(error)

    async def follow(self, request_id: UUID, ce_id: UUID | None = None) -> AsyncGenerator[StatusChanged, None]:
        """The latest status of the request, where there is one, and each later one up to `closed`.

        Raises `Rejected` when the message `ce_id` was refused, `RequestPurgedError`, and what `fail` was given.
        """
        follower = _Follower(request_id, ce_id)
        keys = {request_id} if ce_id is None else {request_id, ce_id}
        for key in keys:
            self._followers.setdefault(key, set()).add(follower)
        try:
            self._catch_up(follower)
            closed = False
            while not closed:
                status = await follower.next()
                closed = status.state == RequestState.CLOSED
                yield status
        finally:
            for key in keys:
                self._leave(key, follower)

    def _catch_up(self, follower: _Follower) -> None:
        if follower.ce_id in self._rejections:
            follower.hear(Rejected(self._rejections[follower.ce_id]))
        known = self._known.get(follower.request_id)
        if known is None:
            return
        if known.status is None:
            follower.hear(RequestPurgedError(follower.request_id))
        else:
            follower.hear(StatusChanged.model_validate_json(known.status))

    def _tell(self, key: UUID, said: StatusChanged | Exception) -> None:
        for follower in self._followers.get(key, ()):
            follower.hear(said)

    def _leave(self, key: UUID, follower: _Follower) -> None:
        group = self._followers.get(key)
        if group is not None:
            group.discard(follower)
            if not group:
                del self._followers[key]
