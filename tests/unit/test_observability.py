"""Every line of a process is in the form that its log has, also what it does not log itself."""

import json
import subprocess
import sys
from typing import Any

_PREPARED = """
import os, sys, threading, warnings
from docmill_shared.settings import EnvironmentSettings
from docmill_shared.startup import prepare
prepare("tested", EnvironmentSettings)
"""


def lines_of(program: str) -> list[dict[str, Any]]:
    """What a process writes that is prepared as every service is and then runs this."""
    command = [sys.executable, "-c", _PREPARED + program]
    done = subprocess.run(
        command, env={"LOG_FORMAT": "json"}, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == ""
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_what_nobody_caught_is_a_line() -> None:
    (line,) = lines_of("raise RuntimeError('two\\nlines')")
    assert (line["service"], line["level"], line["event"]) == ("tested", "critical", "uncaught")
    assert line["exception"][0]["exc_value"] == "two\nlines"


def test_what_ended_a_thread_is_a_line() -> None:
    (line,) = lines_of(
        "thread = threading.Thread(target=lambda: 1 / 0, name='dividing')\n"
        "thread.start(); thread.join()"
    )
    assert (line["event"], line["thread"]) == ("uncaught in a thread", "dividing")
    assert line["exception"][0]["exc_type"] == "ZeroDivisionError"


def test_a_warning_is_a_line() -> None:
    (line,) = lines_of("warnings.warn('this is old')")
    assert (line["logger"], line["level"]) == ("py.warnings", "warning")
    assert "this is old" in line["event"]


def test_exit_says_nothing() -> None:
    assert lines_of("sys.exit(3)") == []
