"""The two systems under test behind one face: docmill, and the naive worker in its place."""

import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Protocol
from uuid import UUID

from sqlalchemy import Engine

from tests.chaos.corpus import Document
from tests.chaos.fleet import Fleet, Member
from tests.chaos.schedule import WORKERS

#: How far ahead the clock of the last worker is.
SKEW_SECONDS = 90


@dataclass(frozen=True, slots=True)
class Upload:
    """A document that was uploaded and confirmed, and the file that it became."""

    document: Document
    owner_id: UUID
    file_id: UUID

    @property
    def content(self) -> tuple[str, bytes]:
        """What its passages depend on: its name and its bytes."""
        return self.document.name, sha256(self.document.content).digest()


class System(Protocol):
    """What the scenario needs of either."""

    name: str
    fleet: Fleet
    engine: Engine
    #: Set when nobody waits for uploads any more: they stop trying.
    given_up: threading.Event

    def start(self) -> None:
        """Everything runs and is ready."""

    def upload(self, document: Document) -> Upload:
        """As a patient client does it: every step again until it works. Thread-safe."""

    def in_queue(self) -> set[UUID] | None:
        """The files that a message in Redis still names; None where that means nothing."""

    def left_after_deletions(self, uploads: Sequence[Upload]) -> list[str] | None:
        """Let owners delete some; what the bucket then has and the table has not, or the reverse.

        None: this system deletes nothing.
        """

    def left_behind(self) -> int | None:
        """Messages that are still in the queue when there is nothing to do; None: not counted."""


def workers(
    module: str,
    environment: Mapping[str, str],
    *,
    threads: int,
    ready_line: str,
    work: Path | None = None,
) -> list[Member]:
    """``ingest-1`` to ``ingest-N``, plain dramatiq processes, the last with its clock ahead.

    ``work``: where each gets a folder of its own for the files it has in hand.
    """
    members = []
    for number in range(1, WORKERS + 1):
        env, target = dict(environment), module
        if number == WORKERS:
            env |= {"CHAOS_WORKER": module, "CHAOS_SKEW_SECONDS": str(SKEW_SECONDS)}
            target = "tests.chaos.skewed_worker"
        name, argv = f"ingest-{number}", dramatiq(target, threads)
        folder = None
        if work is not None:
            folder = work / name
            env["WORK_DIRECTORY"] = str(folder)
        members.append(Member(name, argv, env, ready_line, work=folder))
    return members


def dramatiq(module: str, threads: int) -> list[str]:
    """The command that production runs."""
    command = [sys.executable, "-m", "dramatiq", module]
    return [*command, "--processes", "1", "--threads", str(threads)]
