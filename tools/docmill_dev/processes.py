"""A supervisor for the service processes of a development run; it knows nothing of which.

Used by the ``docmill`` command, the end-to-end tests and the chaos tests. Guarantees: every
process leads its own session, its output is always in ``log_directory/NAME.log``, and nothing of
it (grandchildren included) outlives the supervisor.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from docmill_dev.children import Child

_TAIL_LINES = 30
_COLOURS = (36, 32, 35, 33, 34, 96, 92, 95)
# The proxy of the user's shell must not be asked for loopback addresses.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_echo_lock = threading.Lock()


class ProcessFailed(RuntimeError):
    """A process exited, or was not ready in time; the message shows how its log ends."""


class Process:
    """One supervised process. Made by :meth:`Processes.start`."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        env: Mapping[str, str],
        log: Path,
        ready_url: str | None,
        ready_line: str | None,
        prefix: str | None,
    ) -> None:
        self.name = name
        self.log = log
        self.stopped = False
        self._command = (tuple(argv), dict(env))
        self._ready = (ready_url, ready_line)
        self._prefix = prefix
        self._line_seen = threading.Event()
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        # Python holds back lines that go to a pipe, and a ready line with them.
        self._child = Child(argv, env={"PYTHONUNBUFFERED": "1", **env}, stdout=subprocess.PIPE)
        self._reader = threading.Thread(target=self._read, name=f"log of {name}", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process number, which is also that of its process group."""
        return self._child.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self._child.exit_code()

    def log_tail(self) -> str:
        """The last lines of its output."""
        return "\n".join(list(self._tail))

    def is_ready(self) -> bool:
        """Whether what was agreed as the sign of readiness is there; none agreed: at once."""
        url, line = self._ready
        if line is not None and not self._line_seen.is_set():
            return False
        if url is None:
            return True
        try:
            with _direct.open(url, timeout=2):
                return True
        except (OSError, urllib.error.URLError):
            return False

    def send(self, number: int) -> None:
        """A signal to the process alone, for example SIGSTOP in a chaos test."""
        self._child.send(number)

    def end(self, number: int, timeout: float) -> None:
        """End it on purpose: ask, and after ``timeout`` seconds kill the group."""
        self.stopped = True
        self._child.end(number, timeout)
        self._reader.join(timeout=2)

    def again(self) -> "Process":
        """The same command once more."""
        argv, env = self._command
        return Process(self.name, argv, env, self.log, *self._ready, self._prefix)

    def failure(self, what: str) -> ProcessFailed:
        """An error that names the process and shows the end of its log."""
        # Its last words may be on their way; a grandchild may hold the pipe open for ever.
        self._reader.join(timeout=5 if self.exit_code is not None else 0)
        return ProcessFailed(f"{self.name} {what}. The end of {self.log}:\n{self.log_tail()}")

    def _read(self) -> None:
        """Copy every line to the log, the tail and, if wanted, the terminal."""
        output = self._child.output
        assert output is not None
        with self.log.open("ab", buffering=0) as log, output:
            for block in output:
                log.write(block)
                line = block.decode(errors="replace").rstrip("\r\n")
                self._tail.append(line)
                if self._ready[1] is not None and self._ready[1] in line:
                    self._line_seen.set()
                if self._prefix is not None:
                    # A closed terminal is no reason to stop reading: the process would block.
                    with _echo_lock, contextlib.suppress(OSError, ValueError):
                        print(f"{self._prefix}{line}", file=sys.stderr, flush=True)


class Processes:
    """Processes by name, as a context manager that stops them all on exit."""

    def __init__(self, *, log_directory: Path, echo: bool = False) -> None:
        """``echo``: every line also goes to stderr behind its process's name."""
        self._log_directory = log_directory
        self._echo = echo
        self._processes: dict[str, Process] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop_all()

    def __getitem__(self, name: str) -> Process:
        return self._processes[name]

    def start(
        self,
        name: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        ready_url: str | None = None,
        ready_line: str | None = None,
    ) -> Process:
        """Start it and return at once; ``env`` is its whole environment.

        It counts as ready when ``ready_url`` answers with success and a line of its output
        contains ``ready_line``. The log of an earlier run is kept as ``NAME.log.1``.
        """
        running = self._processes.get(name)
        if running is not None and running.exit_code is None:
            raise ValueError(f"{name} is running already")
        self._log_directory.mkdir(parents=True, exist_ok=True)
        log = self._log_directory / f"{name}.log"
        if running is not None:
            running.end(signal.SIGKILL, 0)  # it has exited; this ends what it left behind
        elif log.exists():
            log.replace(log.with_suffix(".log.1"))
        prefix = self._prefix(name) if self._echo else None
        process = Process(name, argv, env, log, ready_url, ready_line, prefix)
        self._processes[name] = process
        return process

    def wait_ready(self, timeout: float = 120) -> None:
        """Return once all are ready; ProcessFailed at once if one exits, or after ``timeout``."""
        deadline = time.monotonic() + timeout
        waiting = [process for process in self._processes.values() if not process.stopped]
        while waiting:
            failed = self.failed()
            if failed is not None:
                raise failed.failure(f"exited with code {failed.exit_code}")
            waiting = [process for process in waiting if not process.is_ready()]
            if waiting and time.monotonic() >= deadline:
                raise waiting[0].failure(f"was not ready within {timeout:g} s")
            if waiting:
                time.sleep(0.05)

    def stop(self, name: str, signal: int = signal.SIGTERM, timeout: float = 30) -> None:
        """Signal its main process, and kill the group if it is there after ``timeout`` seconds."""
        self._processes[name].end(signal, timeout)

    def kill(self, name: str) -> None:
        """SIGKILL to the whole group. The process does not count as failed."""
        self._processes[name].end(signal.SIGKILL, 5)

    def restart(self, name: str, timeout: float = 30) -> Process:
        """Stop it if it runs, start the same command; ``wait_ready`` waits until it is ready."""
        old = self._processes[name]
        old.end(signal.SIGTERM, timeout)
        self._processes[name] = old.again()
        return self._processes[name]

    def stop_all(self, timeout: float = 30) -> None:
        """Ask all at once, the last started first, and kill what is left after ``timeout``."""
        processes = list(reversed(self._processes.values()))
        deadline = time.monotonic() + timeout
        for process in processes:
            process.stopped = True
            process.send(signal.SIGTERM)
        for process in processes:
            process.end(0, max(0.0, deadline - time.monotonic()))

    def failed(self) -> Process | None:
        """One that exited by itself, if any."""
        for process in self._processes.values():
            if not process.stopped and process.exit_code is not None:
                return process
        return None

    def _prefix(self, name: str) -> str:
        if os.environ.get("NO_COLOR") or not sys.stderr.isatty():
            return f"{name:<10} | "
        colour = _COLOURS[len(self._processes) % len(_COLOURS)]
        return f"\x1b[{colour}m{name:<10} |\x1b[0m "


@contextlib.contextmanager
def end_on_signals() -> Iterator[None]:
    """Inside, SIGTERM and SIGHUP unwind the main thread as Ctrl-C does, so contexts are left.

    The first signal raises (KeyboardInterrupt, or SystemExit with 128 + the signal's number). The
    second only says that a third one will not wait any more, so that an impatient Ctrl-C does not
    break off the shutdown; after the third the guardian kills what is left. Main thread only.
    """
    received = 0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal received
        received += 1
        if received == 2:
            with contextlib.suppress(OSError):
                os.write(2, b"\nStill stopping. Once more to stop without waiting.\n")
            return
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
