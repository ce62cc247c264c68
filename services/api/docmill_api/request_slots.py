"""How many requests a process works on at once, however many threads gunicorn has.

Threads are plenty, since each event stream sleeps in one; processors and connections to the
database are not. Requests beyond the limit wait for their turn, as they would for a thread.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

#: Cheap, and asked by a cluster that restarts or avoids what does not answer.
_PROBES = frozenset({"/healthz", "/readyz"})

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
WsgiApp = Callable[[Environ, StartResponse], Iterable[bytes]]


class RequestSlots:
    """The slots of one process."""

    def __init__(self, count: int) -> None:
        self._free = threading.BoundedSemaphore(count)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Wait for a slot and hold it; for what a stream does between its sleeps."""
        with self._free:
            yield

    def around(self, app: WsgiApp) -> WsgiApp:
        """The app, with a slot held until there is an answer, not while it is sent."""

        def limited(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
            if environ.get("PATH_INFO") in _PROBES:
                return app(environ, start_response)
            with self._free:
                return app(environ, start_response)

        return limited
