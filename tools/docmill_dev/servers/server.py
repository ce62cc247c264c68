"""What the servers have in common: start until it answers, stop, kill, restart.

A subclass says how its command line looks, how to prepare its folder, and how to ask whether it
answers. A server keeps its port and its data over stop, kill and start.
"""

import contextlib
import os
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

import psutil

from docmill_dev.children import Child, wait_until_gone

_LOG_LIMIT = 10_000_000
_TAIL_LINES = 15


class ServerFailed(RuntimeError):
    """A server did not start; the message says which, why, and how its log ends."""


class Server(ABC):
    """One server on 127.0.0.1. Methods are not meant for several threads at once."""

    name: ClassVar[str]
    stop_signal: ClassVar[int] = signal.SIGTERM
    orphan_signal: ClassVar[int] = signal.SIGTERM

    def __init__(self, directory: Path, port: int) -> None:
        """``directory`` is the stack's, absolute; the server's own folder is in it."""
        self.port = port
        self.home = directory / self.name
        self.log = directory / "logs" / f"{self.name}.log"
        self._pid_file = directory / "run" / f"{self.name}.pid"
        self._child: Child | None = None

    @property
    def pid(self) -> int | None:
        """The main process, or None when it does not run."""
        if self._child is None or self._child.exit_code() is not None:
            return None
        return self._child.pid

    def start(self, timeout: float = 60.0) -> None:
        """Return once the server answers; raise :class:`ServerFailed` when it does not in time.

        A server that runs already is left alone.
        """
        if self.pid is not None:
            return
        self.kill()
        deadline = time.monotonic() + timeout
        self._end_leftover()
        self.prepare()
        self._spawn()
        try:
            self._wait_until_it_answers(deadline, timeout)
        except BaseException:
            self.kill()
            raise

    def stop(self, timeout: float = 20.0) -> None:
        """Shut down cleanly; after ``timeout`` seconds by force. No process is left."""
        self._finish(lambda child: child.end(self.stop_signal, timeout))

    def kill(self) -> None:
        """End it at once with SIGKILL, as a power failure would. No process is left."""
        self._finish(lambda child: child.kill())

    def restart(self, timeout: float = 60.0) -> None:
        """Stop cleanly and start again, on the same port with the same data."""
        self.stop()
        self.start(timeout)

    @abstractmethod
    def command(self) -> list[str]:
        """The command line. It holds no secret and names ``home``, so that ``ps`` tells whose."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether a request of the server's own protocol is answered now."""

    def prepare(self) -> None:
        """Bring the folder into the state that the server expects; called before each start."""
        self.home.mkdir(mode=0o700, exist_ok=True)

    def variables(self) -> Mapping[str, str]:
        """The environment the server runs in: nothing of the user's own shell gets in by chance."""
        return {"PATH": os.environ.get("PATH", os.defpath), "TZ": "UTC", "LC_ALL": "C.UTF-8"}

    def account(self) -> tuple[int, int] | None:
        """The (uid, gid) to run under; None: this process's own."""
        return None

    def log_tail(self) -> str:
        """The last lines of the log."""
        try:
            text = self.log.read_text(errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-_TAIL_LINES:])

    def failure(self, what: str) -> ServerFailed:
        """An error that names the server and shows the end of its log."""
        return ServerFailed(f"{self.name} {what}. The end of {self.log}:\n{self.log_tail()}")

    def _spawn(self) -> None:
        if self.log.exists() and self.log.stat().st_size > _LOG_LIMIT:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as log:
            self._child = Child(
                self.command(),
                env=self.variables(),
                stdout=log,
                cwd=Path("/"),
                account=self.account(),
                orphan_signal=self.orphan_signal,
            )
        self._pid_file.write_text(f"{self._child.pid}\n")

    def _wait_until_it_answers(self, deadline: float, timeout: float) -> None:
        assert self._child is not None
        pause = 0.01
        while not self.answers():
            code = self._child.exit_code()
            if code is not None:
                raise self.failure(f"exited with code {code} while starting")
            if time.monotonic() >= deadline:
                raise self.failure(f"did not answer on port {self.port} within {timeout:g} s")
            time.sleep(pause)
            pause = min(pause * 1.5, 0.1)
        # Another program may have taken the port in between, and answered in its place.
        if self._child.exit_code() is not None:
            raise self.failure("exited while starting")

    def _finish(self, how: Callable[[Child], None]) -> None:
        if self._child is None:
            return
        how(self._child)
        self._child = None
        self._pid_file.unlink(missing_ok=True)

    def _end_leftover(self) -> None:
        """End the server of a run that died: two on the same data would corrupt it.

        The guardian of that run is normally at it already, so the clean end is waited for first.
        The caller holds the stack's lock, so nobody else can have started it on purpose.
        """
        try:
            process = psutil.Process(int(self._pid_file.read_text()))
            if not any(str(self.home) in argument for argument in process.cmdline()):
                return  # the number belongs to a stranger by now
            process.send_signal(self.stop_signal)
            if wait_until_gone([process], timeout=10):
                return
            rest = [process, *process.children(recursive=True)]
            for each in rest:
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.kill()
            if not wait_until_gone(rest, timeout=10):
                raise self.failure("of an earlier run cannot be ended")
        except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
            return
        except psutil.AccessDenied as error:
            raise self.failure(f"of an earlier run cannot be ended ({error})") from error
