"""Messages in: notices that were asked for. Each becomes a row; a worker sends it."""

import os
from collections.abc import Callable, Sequence

from services.notifier import store
from services.notifier.letters import new_notice
from shared.events import NoticePersonal, NoticeRequested
from shared.messaging.received import Received
from shared.messaging.work import Work


class Handlers:
    def __init__(self, wake_worker: Callable[[], None]) -> None:
        self._wake_worker = wake_worker

    async def requested(self, batch: Sequence[Received[NoticeRequested, NoticePersonal]], work: Work) -> None:
        """A notice asked for again keeps its row, and with it the fate of its mail."""
        notices = [
            new_notice(received.event.data, received.body, received.personal, work.keyring, os.urandom)
            for received in batch
        ]
        await store.record(work.connection, notices, work.now)
        work.after_commit.append(self._wake_worker)
