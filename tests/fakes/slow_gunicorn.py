"""The api's gunicorn with workers that are told to end while they still start.

``gunicorn -c python:tests.fakes.slow_gunicorn``.
"""

import os
import signal
import threading
from typing import Any

from docmill_api import gunicorn_config
from docmill_api.gunicorn_config import *  # noqa: F403 - gunicorn takes a module's own names


def post_fork(arbiter: Any, worker: Any) -> None:  # type: ignore[no-redef]
    """As in production; then the master is told to end, and the worker goes on starting."""
    gunicorn_config.post_fork(arbiter, worker)
    os.kill(arbiter.pid, signal.SIGTERM)
    threading.Event().wait(60)
