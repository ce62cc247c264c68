"""The health endpoint of an api, and the counts of its processes, for gunicorn's hooks.

The master serves it: it is there before the first worker and after the last, and it alone knows of
all. Workers write their counts to files, and the master adds them up.
"""

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from docmill_api.settings import ApiSettings
from docmill_shared.errors import ConfigurationError
from docmill_shared.health_endpoint import HealthEndpoint, serve_health
from docmill_shared.startup import refuse

#: prometheus_client looks here once, when it is imported.
_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


class GunicornHealth:
    """Made by gunicorn's configuration, before anything imports prometheus_client."""

    def __init__(self, settings: ApiSettings, *, folder: str, timeout: float) -> None:
        """``folder`` is in memory; ``timeout`` is that of a worker's heartbeat, in seconds."""
        self._settings = settings
        self._timeout = timeout
        self._endpoint: HealthEndpoint | None = None
        self._directory: Path | None = None
        os.environ.pop(_VARIABLE, None)  # a directory of others would be counted as well
        if settings.health_port is not None:
            self._directory = Path(tempfile.mkdtemp(prefix="docmill-metrics-", dir=folder))
            os.environ[_VARIABLE] = str(self._directory)

    def start(self, arbiter: Any) -> None:
        """In the master, once it listens."""
        if self._directory is None:
            return
        from docmill_shared import exposition

        try:
            self._endpoint = serve_health(
                self._settings,
                alive=lambda: self.alive(arbiter),
                ready=lambda: _ready(arbiter),
                metrics=exposition.of_processes("api", self._directory),
            )
        except ConfigurationError as error:
            self.end()
            refuse("api", error)

    def leave_to_master(self) -> None:
        """In a worker, after the fork."""
        if self._endpoint is not None:
            self._endpoint.forget()

    def worker_ended(self, pid: int) -> None:
        """In the master: what a worker counted stays, what it measured of itself goes."""
        if self._directory is None:
            return
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(pid, str(self._directory))  # type: ignore[no-untyped-call]

    def end(self) -> None:
        """In the master, after the last worker."""
        if self._endpoint is not None:
            self._endpoint.close()
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)

    def alive(self, arbiter: Any) -> str | None:
        """The master replaces dead and silent workers; it has failed when there is no other."""
        workers = list(arbiter.WORKERS.values())
        if not workers or not arbiter.LISTENERS or any(map(self._answers, workers)):
            return None  # it is about to start them, or all have been told to end
        return "No worker process gives a sign of life."

    def _answers(self, worker: Any) -> bool:
        try:
            silent = time.monotonic() - worker.tmp.last_update()
        except (OSError, ValueError):  # it has just ended
            return False
        # Twice: gunicorn kills it after one and should have a new one by now.
        return bool(silent <= 2 * self._timeout)


def _ready(arbiter: Any) -> str | None:
    if not arbiter.LISTENERS:
        return "The api is shutting down."
    if any(map(_has_started, list(arbiter.WORKERS.values()))):
        return None
    return "No worker process has started yet."


def _has_started(worker: Any) -> bool:
    """Whether its heartbeat was ever set.

    Gunicorn sets it to the monotonic clock; before, it is the time of day at which it was made.
    """
    try:
        return bool(worker.tmp.last_update() <= time.monotonic())
    except (OSError, ValueError):
        return False
