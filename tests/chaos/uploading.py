"""Clients that upload at an even pace while things break."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

from tests.chaos.corpus import Document
from tests.chaos.systems import System, Upload

UPLOADERS = 4
#: A patient client gives up in the end; so does whoever waits for it.
_LATE_SECONDS = 150.0


class Uploading:
    """The uploads of a run, as a context manager; leaving it by an error ends them."""

    def __init__(self, system: System, documents: Sequence[Document], seconds: float) -> None:
        self._system = system
        self._pause = seconds / max(len(documents), 1)
        self._begun = time.monotonic()
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(UPLOADERS, thread_name_prefix="upload")
        self._futures = [
            self._pool.submit(self._upload, number, each) for number, each in enumerate(documents)
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._stop.set()
            self._system.given_up.set()
        self._pool.shutdown(cancel_futures=True)

    def finish(self) -> list[Upload]:
        """Wait for the rest; the system's processes are looked after meanwhile."""
        deadline = time.monotonic() + _LATE_SECONDS
        while not all(each.done() for each in self._futures):
            if time.monotonic() > deadline:
                raise RuntimeError(f"Uploads did not end {_LATE_SECONDS:g} s after repair.")
            self._system.fleet.supervise()
            time.sleep(0.05)
        return [each.result() for each in self._futures]

    def _upload(self, number: int, document: Document) -> Upload:
        if self._stop.wait(max(0.0, self._begun + number * self._pause - time.monotonic())):
            raise RuntimeError("stopped")
        return self._system.upload(document)
