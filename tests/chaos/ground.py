"""What both workers stand on: PostgreSQL, Valkey, S3 and the provider, all real processes.

The provider is the Gemini emulator in a process of its own, so that it is as slow or quick as it
is told to be whatever the suite is doing.
"""

import json
import math
import os
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import UUID

import redis
import sqlalchemy
from minio import Minio
from sqlalchemy import Engine

from docmill_dev.ports import free_port
from docmill_dev.processes import Processes
from docmill_dev.stack import Stack
from docmill_shared import migrate
from tests.conftest import api_login, without_docmill

REPOSITORY = Path(__file__).parents[2]
API_KEY = "emulator-key"
#: What a call to the provider takes beside its own work: near a region's own Gemini endpoint.
LATENCY_MS = 50.0

Answer = TypeVar("Answer")


class Ground:
    """The servers and the provider, as a context manager; nothing is left when it ends."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.stack = Stack(
            directory / "stack",
            environ={},
            # A killed process loses nothing that it gave to the kernel; only a machine would.
            postgres_settings={"fsync": "off", "full_page_writes": "off"},
        )
        self.processes = Processes(log_directory=directory / "logs")
        #: When all messages were lost, by ``time.monotonic``.
        self.flushed_at = -math.inf
        self._provider_url = f"http://127.0.0.1:{free_port()}"
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        with self._exit:
            self._exit.enter_context(self.stack)
            self._exit.enter_context(self.processes)
            port = self._provider_url.rpartition(":")[2]
            argv = [sys.executable, "-m", "tests.fakes.gemini_emulator", "--port", port]
            self.processes.start("provider", argv, env=self._plain(), ready_line="http://")
            self.processes.wait_ready()
            self._exit = self._exit.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._exit.close()

    def environment(self, database_url: str) -> dict[str, str]:
        """What every process of a worker gets, docmill's or the naive one's."""
        return {
            **self._plain(),
            **self.stack.environment(),
            "DATABASE_URL": database_url,
            "API_DATABASE_URL": api_login(database_url, self.stack.environment()),
            "GEMINI_API_KEY": API_KEY,
            "GEMINI_BASE_URL": self._provider_url,
            "LOG_FORMAT": "console",
        }

    def migrated_database(self, name: str) -> tuple[str, Engine]:
        """A fresh database with the schema: its URL, and an engine on it that gives up quickly."""
        url = self.stack.create_database(name)
        engine = sqlalchemy.create_engine(
            url,
            pool_pre_ping=True,
            connect_args={"connect_timeout": 2, "options": "-c statement_timeout=20s"},
        )
        migrate.upgrade(engine)
        return url, engine

    def heal(self) -> None:
        """Every server runs and the provider behaves."""
        for server in (self.stack.postgres, self.stack.valkey, self.stack.s3):
            server.start()
        self.provider(
            fail_next=0, hang_next=0, drop_next=0, retry_info_seconds=None, release_hung=True
        )

    def flush(self) -> None:
        """FLUSHALL: every message is gone."""
        self.stack.valkey.start()  # in case another fault has it down just now
        with redis.Redis.from_url(self.stack.valkey.url, socket_timeout=5) as client:
            client.flushall()
        self.flushed_at = time.monotonic()

    def forget_calls(self) -> None:
        """Begin the provider's statistics anew."""
        self.provider(reset=True, latency_ms=LATENCY_MS)

    def provider(self, **changes: Any) -> None:
        """Set controls of the emulator."""
        self._ask("/_control", json.dumps(changes).encode())

    def paid(self) -> dict[str, Any]:
        """The emulator's statistics."""
        return self._ask("/_stats", None)

    def objects(self) -> dict[UUID, set[str]]:
        """The keys of all objects, by the owner that they name."""
        servers = self.stack.environment()
        client = Minio(
            servers["S3_ENDPOINT"].removeprefix("http://"),
            access_key=servers["S3_ACCESS_KEY"],
            secret_key=servers["S3_SECRET_KEY"],
            region=servers["S3_REGION"],
            secure=False,
        )
        found: dict[UUID, set[str]] = {}
        for each in client.list_objects(servers["S3_BUCKET"], prefix="uploads/", recursive=True):
            key = str(each.object_name)
            found.setdefault(UUID(key.split("/")[1]), set()).add(key)
        return found

    def _ask(self, path: str, body: bytes | None) -> dict[str, Any]:
        request = urllib.request.Request(self._provider_url + path, data=body)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=20) as response:
            answer: dict[str, Any] = json.loads(response.read())
            return answer

    def _plain(self) -> dict[str, str]:
        path = os.pathsep.join(filter(None, (str(REPOSITORY), os.environ.get("PYTHONPATH"))))
        return {**without_docmill(os.environ), "PYTHONPATH": path, "NO_COLOR": "1"}


def patiently(
    action: Callable[[], Answer],
    *,
    passing: tuple[type[Exception], ...],
    unless: threading.Event,
    seconds: float = 120.0,
) -> Answer:
    """``action()``, repeated while it raises what passes.

    Its last error after ``seconds``, or once ``unless`` is set because nobody waits any more.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return action()
        except passing:
            if time.monotonic() > deadline or unless.wait(0.25):
                raise
