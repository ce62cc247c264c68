"""The internal HTTP endpoint of a process: ``/livez``, ``/readyz`` and ``/metrics``.

For Kubernetes and Prometheus, never for clients: on loopback unless HEALTH_HOST says otherwise. It
answers from threads of its own, so that it answers while the process is busy; it asks nothing of
Postgres, Redis or S3 for a probe, since a restart mends none of them.
"""

import socket
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import BoundedSemaphore, Thread
from typing import Any

from docmill_shared.errors import ConfigurationError
from docmill_shared.settings import ServiceSettings

#: What is wrong, as a sentence without details; None when nothing is.
Check = Callable[[], str | None]

#: Requests that are answered at once; a further one is hung up on.
_AT_ONCE = 16
#: For a client to send its request, and to take the answer.
_CLIENT_SECONDS = 5.0
_PLAIN = "text/plain; charset=utf-8"
#: Prometheus' text format: https://prometheus.io/docs/instrumenting/exposition_formats/
_METRICS = "text/plain; version=0.0.4; charset=utf-8"


class HealthEndpoint:
    """Serves from the moment it is made."""

    def __init__(
        self, host: str, port: int, *, alive: Check, ready: Check, metrics: Callable[[], bytes]
    ) -> None:
        """``alive`` and ``ready`` must answer at once; ``metrics`` within a scrape's time-out.

        Raises:
            ConfigurationError: the port cannot be had.
        """
        try:
            self._server = _Server((host, port), _Request)
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise ConfigurationError(
                f"HEALTH_PORT={port} on {host} cannot be used: {why}. Every process needs a port "
                "of its own: run workers with --processes 1, and more pods instead"
            ) from None
        self._server.answers = {
            "/livez": lambda: _verdict(alive()),
            "/readyz": lambda: _verdict(ready()),
            "/metrics": lambda: (200, _METRICS, metrics()),
        }
        self._thread = Thread(target=self._server.serve_forever, name="health", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._server.server_close()

    def forget(self) -> None:
        """In a forked child: the port is its parent's."""
        self._server.socket.close()


def serve_health(
    settings: ServiceSettings, *, alive: Check, ready: Check, metrics: Callable[[], bytes]
) -> HealthEndpoint | None:
    """The endpoint that the settings describe; None without HEALTH_PORT.

    Raises:
        ConfigurationError: the port cannot be had.
    """
    if settings.health_port is None:
        return None
    return HealthEndpoint(
        settings.health_host, settings.health_port, alive=alive, ready=ready, metrics=metrics
    )


Answer = tuple[int, str, bytes]


def _verdict(problem: str | None) -> Answer:
    return (200, _PLAIN, b"ok\n") if problem is None else (503, _PLAIN, f"{problem}\n".encode())


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    answers: dict[str, Callable[[], Answer]]

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        self._room = BoundedSemaphore(_AT_ONCE)
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """As the base does, without its look-up of the host's name, which can take seconds."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Called for every connection, by the thread that accepts."""
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Called in the connection's thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is nobody's concern; answers that fail say so themselves."""


class _Request(BaseHTTPRequestHandler):
    server: _Server
    timeout = _CLIENT_SECONDS
    server_version = "docmill"
    sys_version = ""
    wbufsize = -1  # header and body in one packet, not the second after Nagle's 40 ms

    def do_GET(self) -> None:
        """Answer one request; the connection ends with it."""
        find = self.server.answers.get(self.path.partition("?")[0])
        try:
            status, kind, body = (404, _PLAIN, b"not found\n") if find is None else find()
        except Exception:  # noqa: BLE001 - whatever it is, a probe must get an answer
            # Not logged: in the api's master this runs beside forks, where a lock that is held
            # by a thread stays held in the child for ever.
            status, kind, body = 500, _PLAIN, b"failed\n"
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Probes come every few seconds; none is worth a line."""
