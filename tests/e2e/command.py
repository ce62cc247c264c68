"""The ``docmill`` command as a real process, and the processes that belong to one data folder."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import psutil

from tests.settings_fields import variables

REPOSITORY = Path(__file__).resolve().parents[2]
EXAMPLES = REPOSITORY / "examples"
CONTROL_CODE = re.compile(r"[\x00-\x09\x0b-\x1f\x7f\x9b]")


def run(*arguments: object, data: Path, timeout: float = 500) -> subprocess.CompletedProcess[str]:
    """Run it to its end, its output in pipes."""
    return subprocess.run(
        _command(*arguments),
        env=_environment(data),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


class Running:
    """A command under way; ended at the latest when its context is left."""

    def __init__(self, *arguments: object, data: Path, output: Path) -> None:
        self._output = output
        with output.open("wb") as file:
            self._process = subprocess.Popen(
                _command(*arguments),
                env=_environment(data),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def text(self) -> str:
        """What it has printed; a character may be in the middle of being written."""
        return self._output.read_text(errors="replace")

    def wait_for(self, words: str, timeout: float = 240) -> None:
        """Return as soon as it has printed them; an error if it ends before."""
        deadline = time.monotonic() + timeout
        while True:
            has_ended = self._process.poll() is not None  # asked before its last words are read
            if words in self.text():
                return
            assert not has_ended, f"ended before “{words}”:\n{self.text()}"
            assert time.monotonic() < deadline, f"no “{words}” in {timeout} s:\n{self.text()}"
            time.sleep(0.02)

    def send(self, number: int) -> None:
        """A signal to the command alone."""
        self._process.send_signal(number)

    def exit_code(self, timeout: float = 180) -> int:
        """Wait for its end."""
        return self._process.wait(timeout)


def processes_of(data: Path) -> list[psutil.Process]:
    """Every live process that was started for this folder, by its arguments or its environment."""
    return [each for each in psutil.process_iter() if _belongs_to(each, str(data))]


def service_process(data: Path, argument: str) -> psutil.Process:
    """The process of this folder with this argument that has no parent with it."""
    found = {}
    for each in processes_of(data):
        with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended
            if argument in each.cmdline():
                found[each.pid] = (each, each.ppid())
    (process,) = [each for each, parent in found.values() if parent not in found]
    return process


def nothing_is_left(data: Path) -> Callable[[], bool]:
    """A condition to wait for."""
    return lambda: not processes_of(data)


def squeezed(text: str) -> str:
    """Without white space and the bars beside quotations: lines may break anywhere."""
    return re.sub(r"[\s│]+", "", text)


def _belongs_to(process: psutil.Process, data: str) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return any(data in each for each in process.cmdline()) or (
            process.environ().get("DOCMILL_DATA") == data
        )
    except psutil.Error:
        return False


def _command(*arguments: object) -> list[str]:
    docmill = Path(sys.executable).with_name("docmill")
    return [str(docmill), *(str(argument) for argument in arguments)]


def _environment(data: Path) -> dict[str, str]:
    """The caller's, without anything that leads docmill elsewhere or paints its output."""
    foreign = variables() | {"FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS"}
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in foreign and not name.startswith("DOCMILL_")
    }
    return {**kept, "DOCMILL_DATA": str(data)}
