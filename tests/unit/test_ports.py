"""A port that was given out is nobody else's, also while nothing listens on it."""

import subprocess
import sys

import pytest

from docmill_dev import ports

#: Asks for a port where there is only one.
_ASK = """
import sys
from docmill_dev import ports
ports._LOWEST = ports._HIGHEST = int(sys.argv[1])
try:
    print(ports.free_port())
except OSError:
    print("none")
"""


def test_another_process_is_not_given_it() -> None:
    port = ports.free_port()
    assert ports.is_free(port)
    command = [sys.executable, "-c", _ASK, str(port)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "none\n"


def test_nobody_here_is_given_it_either(monkeypatch: pytest.MonkeyPatch) -> None:
    port = ports.free_port()
    monkeypatch.setattr(ports, "_LOWEST", port)
    monkeypatch.setattr(ports, "_HIGHEST", port)
    with pytest.raises(OSError, match="no free loopback port"):
        ports.free_port()
