"""Gunicorn's threaded worker, with an end that clients can tell.

Gunicorn's own stops accepting on SIGTERM and keeps its listening socket until the last open request
is answered. Until then the kernel goes on taking connections that nobody will ever serve: their
clients wait, and are reset in the end. Here what the kernel has taken is served with the rest, and
after that connections are refused, so that a client or a proxy turns to another pod at once.
"""

from typing import Any

from gunicorn.workers.gthread import ThreadWorker
from structlog.contextvars import clear_contextvars


class RefusingWorker(ThreadWorker):  # type: ignore[misc]
    """Refuses new connections from SIGTERM on; those that are open have the grace period."""

    def handle(self, conn: Any) -> Any:
        """Called in a thread for every request; its lines have no ids of the request before."""
        clear_contextvars()
        return super().handle(conn)

    def set_accept_enabled(self, enabled: bool) -> None:
        """Called by gunicorn's loop; with False in a shutdown and while there is no room."""
        super().set_accept_enabled(enabled)
        if not self.alive:
            for listener in self.sockets:
                self._take_all(listener)
                listener.close()  # the last process to do so closes the port

    def _take_all(self, listener: object) -> None:
        """Accept whatever waits to be accepted."""
        while True:
            before = self.nr_conns
            self.accept(listener)
            if self.nr_conns == before:
                return
