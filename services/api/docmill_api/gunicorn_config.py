"""Gunicorn's configuration: ``gunicorn -c python:docmill_api.gunicorn_config``.

Read once, by the master, before there is any worker: a wrong setting ends it here, with status 2.
Gunicorn takes the names below that it knows (https://docs.gunicorn.org/en/stable/settings.html)
and ignores the others.
"""

import os
import resource
import signal
import threading
from typing import Any

import gunicorn.http.wsgi
import gunicorn.util
from gunicorn.config import Config
from gunicorn.glogging import Logger

from docmill_api.gunicorn_answers import write_problem
from docmill_api.gunicorn_health import GunicornHealth
from docmill_api.gunicorn_worker import RefusingWorker
from docmill_api.settings import ApiSettings
from docmill_shared.observability import get_logger
from docmill_shared.startup import prepare, require_row_security, require_schema

_settings = prepare("api", ApiSettings)
require_schema("api", _settings)
require_row_security("api", _settings)

# What answers is nobody's business, and gunicorn has no setting for it, nor for what it answers.
gunicorn.http.wsgi.SERVER = "docmill"
gunicorn.util.write_error = write_problem


class PropagatingLogger(Logger):  # type: ignore[misc]
    """Hands gunicorn's lines to the process's own log instead of formatting them itself."""

    def setup(self, cfg: Config) -> None:
        """Let the records through to the root logger, which ``prepare`` has configured."""
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True

    def warning(self, msg: object, *args: object, **kwargs: Any) -> None:
        """Without what gunicorn quotes of a malformed request: it may be a token."""
        said, _, quoted = str(msg).partition(": ")
        malformed = quoted and said.startswith("Invalid request from ip=")
        super().warning(said if malformed else msg, *args, **kwargs)

    def debug(self, msg: object, *args: object, **kwargs: Any) -> None:
        """The same of a request that broke off: such an error quotes all that came of it."""
        kinds = [type(arg).__name__ if isinstance(arg, Exception) else arg for arg in args]
        super().debug(msg, *kinds, **kwargs)


#: Connections without a request, in a process.
KEPT_CONNECTIONS = 1_000
#: Files that a process has open beside its clients' connections, with room.
OTHER_FILES = 500

wsgi_app = "docmill_api.wsgi:app"
bind = f"{_settings.api_host}:{_settings.api_port}"
workers = _settings.api_workers
worker_class = RefusingWorker
#: Each event stream sleeps in one. How many requests are worked on at once is limited apart
#: (``request_slots``), and threads are made only as they are needed.
threads = _settings.api_threads + _settings.api_event_streams
#: Beside those that a thread serves: connections that are kept for their client's next request.
worker_connections = threads + KEPT_CONNECTIONS
graceful_timeout = _settings.api_graceful_seconds
#: A worker whose main thread is silent this long is killed; requests run in other threads.
timeout = 60
#: Longer than a proxy in front keeps a connection idle, so that the proxy closes it first.
keepalive = 75
#: The code is loaded once and shared. Nothing connects and no thread starts at import, so there
#: is nothing that a fork could break.
preload_app = True
#: The heartbeat file: a container's disk may block, its memory does not.
worker_tmp_dir = "/dev/shm"  # noqa: S108 - gunicorn makes its own file in it
#: docmill writes a line per request itself, with the request's id.
accesslog = None
logger_class = PropagatingLogger
loglevel = _settings.log_level.lower()
#: A socket for gunicorn's own administration, which nothing here uses.
control_socket_disable = True
#: The most that gunicorn allows: filters and a cursor together are longer than its default.
limit_request_line = 8190
#: Whether a proxy is believed is for TRUSTED_PROXIES to say, not for where a request comes from.
forwarded_allow_ips = ""
#: Header names with underscores are dropped, so they cannot pass for those with dashes.
header_map = "drop"

#: Before ``wsgi_app`` is loaded, which declares the metrics.
_health = GunicornHealth(_settings, folder=worker_tmp_dir, timeout=timeout)


def on_starting(arbiter: Any) -> None:
    """In the master, first of all: room for as many open files as there are connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = worker_connections + OTHER_FILES
    if resource.RLIM_INFINITY != soft < wanted:
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


def when_ready(arbiter: Any) -> None:
    """In the master, before the first worker."""
    _health.start(arbiter)


def post_fork(arbiter: Any, worker: Any) -> None:
    """In each worker, as soon as gunicorn asks."""
    _health.leave_to_master()


def child_exit(arbiter: Any, worker: Any) -> None:
    """In the master, after a worker has ended."""
    _health.worker_ended(worker.pid)


def on_exit(arbiter: Any) -> None:
    """In the master, last of all."""
    _health.end()


def post_worker_init(worker: Any) -> None:
    """After the fork: warm up behind the first requests, and let streams know of the end.

    Not before, so that no thread is lost in the fork.
    """
    # Not above: it would import prometheus_client before it knows where workers count.
    from docmill_api.current import resources_of

    resources_of(worker.wsgi).events.stop_when(lambda: not worker.alive)
    threading.Thread(target=_warm_up, args=(worker.wsgi,), name="warm-up", daemon=True).start()


# Until gunicorn sets a worker's own handlers, it has its master's, which would note SIGTERM where
# nobody looks, and the master would wait for this worker until the grace period ends. So a worker
# never has them: what comes during the fork waits, and then ends it.


def _hold_sigterm() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def _take_sigterm() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def _end_at_sigterm() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _take_sigterm()


os.register_at_fork(
    before=_hold_sigterm, after_in_parent=_take_sigterm, after_in_child=_end_at_sigterm
)


def _warm_up(app: Any) -> None:
    from docmill_api.current import resources_of

    try:
        resources_of(app).warm_up()
    except Exception:  # noqa: BLE001 - logged whole; nothing else may follow from it
        # Searches will say it again, each with its request; the api is of use without them.
        get_logger(__name__).exception("the embedder could not be loaded")
