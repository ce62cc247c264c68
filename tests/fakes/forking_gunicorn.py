"""The api's gunicorn with workers that are told to end in the very moment of their fork.

``gunicorn -c python:tests.fakes.forking_gunicorn``.
"""

import os
import signal
import time


def _told_to_end() -> None:
    """In a worker, before anything of the api's: SIGTERM comes by way of the master."""
    os.kill(os.getppid(), signal.SIGTERM)
    give_up_at = time.monotonic() + 30
    while signal.SIGTERM not in signal.sigpending() and time.monotonic() < give_up_at:
        time.sleep(0.01)


# Before the api's own, which come with the import: they are called in this order.
os.register_at_fork(after_in_child=_told_to_end)

from docmill_api.gunicorn_config import *  # noqa: E402, F403 - gunicorn takes a module's own names
