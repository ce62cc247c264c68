"""Child processes that never outlive this one. Used by the servers and by ``processes.py``.

Every child leads its own session, so that a Ctrl-C in the terminal reaches only this process,
which then ends its children in the right order. A guardian process (see ``guardian.py``) ends them
when this process dies without having done so, even by SIGKILL.
"""

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import psutil

from docmill_dev.guardian import GRACE

_KILL_TIMEOUT = 5.0


class Child:
    """One started process and its group.

    The process is not reaped before ``end`` or ``kill``, even when it exits by itself: until then
    its number cannot belong to anyone else, so a signal never hits a stranger.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        stdout: int | IO[bytes],
        cwd: Path | None = None,
        account: tuple[int, int] | None = None,
        orphan_signal: int = signal.SIGTERM,
    ) -> None:
        """Start ``argv``; stderr goes where stdout goes.

        ``account`` is the (uid, gid) to run under; ``orphan_signal`` is what the child gets if
        this process dies.
        """
        self._lock = threading.Lock()
        uid, gid = account if account else (None, None)

        def begin() -> subprocess.Popen[bytes]:
            popen = subprocess.Popen(
                list(argv),
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                start_new_session=True,
                user=uid,
                group=gid,
                extra_groups=None if account is None else [],
            )
            _guard.watch(popen.pid, orphan_signal)
            return popen

        # In a thread, because Python handles signals in the main thread only: a Ctrl-C cannot fall
        # between starting the process and telling the guardian.
        with ThreadPoolExecutor(1) as pool:
            self._popen = pool.submit(begin).result()

    @property
    def pid(self) -> int:
        """The process number, which is also the number of its group."""
        return self._popen.pid

    @property
    def output(self) -> IO[bytes] | None:
        """The reading end, if the child was started with ``subprocess.PIPE``."""
        return self._popen.stdout

    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        with self._lock:
            if self._popen.returncode is not None:
                return self._popen.returncode
            found = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if found is None:
            return None
        return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status

    def wait(self, timeout: float) -> bool:
        """Whether it has exited by the end of ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        while self.exit_code() is None:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.01)
        return True

    def send(self, number: int) -> None:
        """Send a signal to the process alone; nothing happens if it has exited."""
        with self._lock:
            if self._popen.returncode is None:
                # Somebody else may have waited for it, and then nobody knows how it exited.
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid, number)

    def end(self, number: int = signal.SIGTERM, timeout: float = 10.0) -> None:
        """Ask the process to end; after ``timeout`` seconds kill it. Nothing of it is left."""
        descendants = _descendants(self.pid)  # looked up while it still has them
        self.send(number)
        self.wait(timeout)
        self._bury(descendants)

    def kill(self) -> None:
        """SIGKILL to the process, its group and its descendants, then wait until all are gone."""
        self._bury([])

    def _bury(self, descendants: list[psutil.Process]) -> None:
        with self._lock:
            if self._popen.returncode is not None:
                return
            # PostgreSQL's backends lead sessions of their own, so the group alone is not enough.
            descendants = descendants + _descendants(self.pid)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
            for process in descendants:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            self._popen.wait()
            wait_until_gone([*descendants, *_members(self.pid)], _KILL_TIMEOUT)
            _guard.forget(self.pid)


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return list(psutil.Process(pid).children(recursive=True))
    except psutil.NoSuchProcess:
        return []


def is_alive(process: psutil.Process) -> bool:
    """Whether it runs; a zombie does not, and where nobody reaps orphans it stays one for ever."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE and process.is_running())
    except psutil.NoSuchProcess:
        return False


def wait_until_gone(processes: Sequence[psutil.Process], timeout: float) -> bool:
    """Whether all of them have ended by the end of ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while any(is_alive(process) for process in processes):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.01)
    return True


def _members(group: int) -> list[psutil.Process]:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return []
    return [process for process in psutil.process_iter() if _group_of(process.pid) == group]


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except (ProcessLookupError, PermissionError):
        return None


class _Guard:
    """This process's side of the guardian, which is started with the first child."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listed: dict[int, int] = {}
        self._process: subprocess.Popen[bytes] | None = None
        os.register_at_fork(after_in_child=self._begin_anew)
        atexit.register(self._close)

    def watch(self, pid: int, number: int) -> None:
        with self._lock:
            self._listed[pid] = number
            if self._process is None or self._process.poll() is not None:
                self._start()
            else:
                self._write(f"{pid} {number}\n")

    def forget(self, pid: int) -> None:
        with self._lock:
            self._listed.pop(pid, None)
            self._write(f"{pid} 0\n")

    def _start(self) -> None:
        script = Path(__file__).with_name("guardian.py")
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(script), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
        self._write("".join(f"{pid} {number}\n" for pid, number in self._listed.items()))

    def _write(self, lines: str) -> None:
        if self._process is None or self._process.stdin is None:
            return
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(lines.encode())
            self._process.stdin.flush()

    def _close(self) -> None:
        """At exit: the guardian ends what was forgotten, and then itself."""
        if self._process is None or self._process.stdin is None:
            return
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(GRACE + 1)

    def _begin_anew(self) -> None:
        """In a fork: the children and their guardian belong to the original process."""
        self._lock = threading.Lock()
        self._listed = {}
        self._process = None


_guard = _Guard()
