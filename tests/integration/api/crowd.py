"""Many listeners to the api's event streams, on one thread."""

import asyncio
import threading
from urllib.parse import urlsplit

from tests.integration.fleet import Caller, Fleet


class Crowd:
    """Many listeners in one thread; a context manager."""

    def __init__(self, running: Fleet, callers: list[Caller], count: int) -> None:
        self._address = urlsplit(running.url)
        self._tokens = [
            callers[number % len(callers)].tokens["access_token"] for number in range(count)
        ]
        self._received = [b""] * count
        self._streams: dict[int, tuple[asyncio.StreamReader, asyncio.StreamWriter]] = {}
        self._reading: list[asyncio.Future[None]] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> "Crowd":
        self._thread.start()
        opening = asyncio.run_coroutine_threadsafe(self._open(), self._loop)
        opening.result(60)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(20)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(20)
        self._loop.close()

    def heard(self) -> int:
        return sum(b"event: progress" in each for each in self._received)

    def overheard(self) -> int:
        return sum(each.count(b"event: progress") > 1 for each in self._received)

    async def _open(self) -> None:
        few = asyncio.Semaphore(50)
        await asyncio.gather(*(self._connect(number, few) for number in range(len(self._tokens))))
        self._reading = [
            asyncio.ensure_future(self._read(number)) for number in range(len(self._tokens))
        ]

    async def _connect(self, number: int, few: asyncio.Semaphore) -> None:
        async with few:
            reader, writer = await asyncio.open_connection(
                self._address.hostname, self._address.port
            )
            writer.write(
                b"GET /v1/events HTTP/1.1\r\nHost: docmill\r\n"
                b"Authorization: Bearer " + self._tokens[number].encode() + b"\r\n\r\n"
            )
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 "), head
            self._streams[number] = (reader, writer)

    async def _read(self, number: int) -> None:
        reader, _ = self._streams[number]
        while block := await reader.read(65_536):
            self._received[number] += block

    async def _close(self) -> None:
        for each in self._reading:
            each.cancel()
        for _, writer in self._streams.values():
            writer.close()
