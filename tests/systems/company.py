"""The payment processor for tests: the real program, listening on a port of its own."""

from pathlib import Path
from random import Random

import httpx
from aiohttp import web

from systems.payments.processor import application

KEY = "sk_demonstration"


class Company:
    """The processor, listening; `async with`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = ""

    async def __aenter__(self) -> "Company":
        self.folder.mkdir(exist_ok=True)
        self._runner = web.AppRunner(application(self.folder, KEY, Random(7)))
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        self.http = httpx.AsyncClient(base_url=self.url, headers={"Authorization": f"Bearer {KEY}"})
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()
        await self._runner.cleanup()

    async def behave(self, **how: float) -> None:
        assert (await self.http.put("/behaviour", json=how)).status_code == 200
