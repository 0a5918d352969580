"""Messages in: notices that were asked for. Each becomes a row; a worker sends it."""

import os
from collections.abc import Sequence
from functools import partial

from services.notifier import store
from services.notifier.desk import Desk
from services.notifier.domain import Key
from services.notifier.letters import new_notice
from services.notifier.store import Claimed, NewNotice
from shared.events import NoticePersonal, NoticeRequested
from shared.messaging.received import Received
from shared.messaging.work import Work


class Handlers:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def requested(self, batch: Sequence[Received[NoticeRequested, NoticePersonal]], work: Work) -> None:
        """A notice asked for again keeps its row, and with it the fate of its mail. As many new ones as there is room
        for are claimed with their row and handed to the worker as they are."""
        asked: dict[Key, tuple[NewNotice, Received[NoticeRequested, NoticePersonal]]] = {}
        for received in batch:
            new = new_notice(received.event.data, received.body, received.personal, work.keyring, os.urandom)
            asked.setdefault(new.key, (new, received))
        room, lease = self._desk.room_for_new, self._desk.offer()
        recorded = await store.record(work.connection, [new for new, _ in asked.values()], work.now, lease, room)
        claimed = [
            Claimed(
                key=new.key,
                event=new.event,
                recorded_at=work.now,
                attempts=1,
                lease=lease.id,
                token_sealed=new.token.sealed if new.token else None,
                opened=(received.body, received.personal),
            )
            for new, received in list(asked.values())[:room]
            if new.key in recorded
        ]
        work.after_commit.append(partial(self._desk.take_over, claimed, more=len(asked) > room))
