"""The system under load: ingest workers by number, the janitor, and files of one owner."""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Any
from unittest import mock
from uuid import UUID

from sqlalchemy import Row, text

from docmill_ingest.settings import IngestSettings
from docmill_shared.objects import S3ObjectStore
from tests.chaos.ground import Ground
from tests.chaos.systems import dramatiq
from tests.conftest import SECRET
from tests.migration.traffic import Uploaded
from tests.owners import new_owner, prose

LEASE_SECONDS = 5
SETTINGS = {
    # What a killed worker held is taken over after this, and not after half a minute.
    "LEASE_SECONDS": str(LEASE_SECONDS),
    "RECOVER_SECONDS": "1",
    "DISPATCH_SECONDS": "1",
    # Four messages for each thread of the largest fleet.
    "INGEST_QUEUE_CAP": "64",
    # All files are one owner's.
    "OWNER_TOKENS_PER_DAY": "none",
}
#: A page or two: one call to the provider.
_PARAGRAPHS = 6
_UPLOADERS = 4


@dataclass
class ScaledSystem:
    """Made of a ground that runs."""

    ground: Ground
    threads: int
    uploaded: list[Uploaded] = field(default_factory=list)
    workers: list[str] = field(default_factory=list)
    _numbers: "count[int]" = field(default_factory=count)

    def __post_init__(self) -> None:
        url, self.engine = self.ground.migrated_database("scale")
        self.environment = {**self.ground.environment(url), **SETTINGS, "JWT_SECRET": SECRET}
        with mock.patch.dict(os.environ, self.environment, clear=True):
            self.owner = new_owner(self.engine, S3ObjectStore(IngestSettings.load()))
        processes = self.ground.processes
        scheduler = self.ground_python("docmill_janitor.scheduler")
        processes.start("scheduler", scheduler, env=self.environment, ready_line="schedule runs")
        janitor = dramatiq("docmill_janitor.worker", 2)
        processes.start("janitor", janitor, env=self.environment, ready_line="ready for messages")
        processes.wait_ready(120)

    def ground_python(self, module: str) -> list[str]:
        """The command of a plain Python module."""
        return [*dramatiq(module, 1)[:2], module]

    def resize(self, size: int) -> None:
        """Stop or start workers until there are this many, each warm when this returns."""
        while len(self.workers) > size:
            self.ground.processes.stop(self.workers.pop())
        while len(self.workers) < size:
            name = f"ingest-{len(self.workers) + 1}"
            argv = dramatiq("docmill_ingest.worker", self.threads)
            ready = "ready for messages"
            self.ground.processes.start(name, argv, env=self.environment, ready_line=ready)
            self.workers.append(name)
        self.ground.processes.wait_ready(180)
        self.load(size * self.threads * 3)
        self.settle(120, lambda left: None)

    def kill(self, names: list[str]) -> None:
        """SIGKILL, with everything that they have started."""
        for name in names:
            self.ground.processes.kill(name)
            self.workers.remove(name)

    def load(self, files: int, advance: Callable[[int], None] = lambda more: None) -> None:
        """Upload so many, and then confirm all at once: only then does the work begin."""

        def upload(number: int) -> Uploaded:
            content = prose(_PARAGRAPHS, seed=number)
            file_id = self.owner.reserve(f"{number}.txt", len(content), bulk=True)
            self.owner.put(file_id, content)
            advance(1)
            return Uploaded(file_id, content)

        with ThreadPoolExecutor(_UPLOADERS) as pool:
            fresh = list(pool.map(upload, [next(self._numbers) for _ in range(files)]))
        for each in fresh:
            self.owner.confirm(each.id)
        self.uploaded += fresh

    def left(self) -> int:
        """Files that wait or are under way."""
        with self.engine.connect() as connection:
            query = "select count(*) from files where status in ('QUEUED', 'PROCESSING')"
            return int(connection.execute(text(query)).scalar_one())

    def settle(self, seconds: float, advance: Callable[[int], None], down_to: int = 0) -> None:
        """Wait until not more than ``down_to`` files are left; TimeoutError."""
        deadline = time.monotonic() + seconds
        while (left := self.left()) > down_to:
            advance(left)
            if time.monotonic() > deadline:
                raise TimeoutError(f"{left} files are still left after {seconds:g} s")
            time.sleep(0.2)
        advance(left)

    def finished(self) -> list[Row[Any]]:
        """When each file was done (Unix time) and last begun, the earliest first."""
        with self.engine.connect() as connection:
            query = (
                "select id, started_at, extract(epoch from finished_at)::float8 as at from files"
                " where status = 'COMPLETED' order by finished_at"
            )
            return list(connection.execute(text(query)).all())

    def in_hand(self) -> dict[UUID, datetime]:
        """The files that are under way, and when each was begun."""
        with self.engine.connect() as connection:
            query = "select id, started_at from files where status = 'PROCESSING'"
            return {row.id: row.started_at for row in connection.execute(text(query))}

    def in_flight(self) -> int:
        """Calls that the provider has in hand."""
        return int(self.ground.paid()["in_flight"])

    def groups(self) -> dict[str, list[int]]:
        """The processes by what they are for; see :func:`benchmarks.scale_usage.measured`."""
        processes, stack = self.ground.processes, self.ground.stack
        servers = {"Postgres": stack.postgres, "Valkey": stack.valkey, "S3": stack.s3}
        found = {
            "workers": [processes[name].pid for name in self.workers],
            "provider": [processes["provider"].pid],
            "janitor": [processes[name].pid for name in ("janitor", "scheduler")],
            "benchmark": [os.getpid()],
        }
        for name, server in servers.items():
            assert server.pid is not None
            found[name] = [server.pid]
        return found
