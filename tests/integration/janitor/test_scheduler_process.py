"""The scheduler's process ends whenever it is told to, even before its schedule runs."""

import signal
import subprocess
import sys

import pytest

#: The signal comes in the moment in which the health endpoint begins to answer: the earliest in
#: which anything outside can know that there is a process to end.
_ENDED_AT_ONCE = """
import os
from docmill_janitor import scheduler
from docmill_janitor.resources import build
from docmill_janitor.settings import JanitorSettings
from docmill_shared.startup import prepare

scheduler.serve_health = lambda *_, **__: os.kill(os.getpid(), {number})
scheduler.run(build(prepare("scheduler", JanitorSettings)), [])
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_the_start_is_not_lost(
    service_environment: dict[str, str], number: signal.Signals
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _ENDED_AT_ONCE.format(number=int(number))],
        env=service_environment,
        capture_output=True,
        text=True,
        timeout=200,
    )

    assert done.returncode == 0, done.stderr
    assert "the schedule runs" in done.stderr + done.stdout
