"""The processes of one worker's system, restarted when they end, as an orchestrator would."""

import shutil
import signal
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from docmill_dev.processes import Process, Processes

#: An orchestrator does not start a container again at once.
BACK_OFF_SECONDS = 1.0
#: After SIGTERM, as Kubernetes by default.
GRACE_SECONDS = 30.0
#: Whom no file waits for, and the names of those that take one.
_FRONT, _HANDS = "api", "ingest-"


@dataclass(frozen=True, slots=True)
class Member:
    """One process: what runs, and the line of its log that says it works."""

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str]
    ready_line: str | None = None
    ready_url: str | None = None
    #: Empty at each start, as a new pod's is; a folder ``docmill-*`` in it is a file in hand.
    work: Path | None = None


class Fleet:
    """Members by name. Not for several threads at once."""

    def __init__(self, members: Sequence[Member], processes: Processes) -> None:
        self._members = {each.name: each for each in members}
        self._processes = processes
        self._running: dict[str, Process] = {}
        self._ended_at: dict[str, float] = {}
        self._terminated: dict[str, float] = {}
        #: Processes that ended although nobody ended them, by name.
        self.died: Counter[str] = Counter()
        #: When members were killed, by the clock of this machine (``time.time``).
        self.kills: list[tuple[float, str]] = []

    def start(self) -> None:
        """All of them, ready."""
        for name in self._members:
            self._start(name)
        self._processes.wait_ready(120)

    def has(self, name: str) -> bool:
        """Whether there is such a member."""
        return name in self._members

    def can_take_over(self) -> bool:
        """Whether all run that a killed worker's file needs: somebody to take it, and who sends it.

        May be called by any thread.
        """
        up = {
            name
            for name, process in list(self._running.items())
            if name != _FRONT
            and process.exit_code is None
            and not process.stopped
            and process.is_ready()
        }
        hands = {name for name in self._members if name.startswith(_HANDS)}
        return bool(up & hands) and self._members.keys() - hands - {_FRONT} <= up

    def is_busy(self, name: str) -> bool:
        """Whether it holds a file, so that its end is worth looking at; True if nobody can tell."""
        work = self._members[name].work
        return work is None or any(work.glob("docmill-*"))

    def kill(self, name: str) -> None:
        """SIGKILL to the process and everything that it started."""
        self.kills.append((time.time(), name))
        self._processes.kill(name)

    def terminate(self, name: str) -> None:
        """SIGTERM; :meth:`supervise` sees to the rest."""
        process = self._running[name]
        if process.exit_code is None:
            self._terminated.setdefault(name, time.monotonic())
            process.stopped = True
            process.send(signal.SIGTERM)

    def supervise(self) -> None:
        """Start again what has ended; call it several times a second."""
        now = time.monotonic()
        for name, process in list(self._running.items()):
            if process.exit_code is None:
                if now - self._terminated.get(name, now) > GRACE_SECONDS:
                    self._processes.kill(name)
                continue
            self._terminated.pop(name, None)
            if name not in self._ended_at:
                self._ended_at[name] = now
                if not process.stopped:
                    self.died[name] += 1
            if now - self._ended_at[name] >= BACK_OFF_SECONDS:
                self._start(name)

    def heal(self, timeout: float = 120.0) -> None:
        """Everything runs again and is ready."""
        deadline = time.monotonic() + timeout
        while not all(
            each.exit_code is None and each.is_ready() for each in self._running.values()
        ):
            if time.monotonic() > deadline:
                slow = next(each for each in self._running.values() if not each.is_ready())
                raise slow.failure(f"was not ready {timeout:g} s after the last fault")
            self.supervise()
            time.sleep(0.1)

    def stop(self) -> None:
        """End all of them at once, without waiting for what they do."""
        for name in reversed(list(self._running)):
            self._processes.kill(name)

    def _start(self, name: str) -> None:
        member = self._members[name]
        self._ended_at.pop(name, None)
        self._terminated.pop(name, None)
        if member.work is not None:
            shutil.rmtree(member.work, ignore_errors=True)
            member.work.mkdir(parents=True)
        self._running[name] = self._processes.start(
            name,
            member.argv,
            env=member.environment,
            ready_line=member.ready_line,
            ready_url=member.ready_url,
        )
