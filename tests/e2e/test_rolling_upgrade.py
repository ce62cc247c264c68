"""The previous release and this one side by side, with a migration in between, under traffic.

The order is that of docs/upgrading.md: migrate, then workers, then who sends to them: scheduler
and api. No request fails and no file is lost. Without the history of the repository there is no
previous release to run; then
``tests/migration/test_previous_statements.py`` holds what it asks of the database.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest
import redis
import sqlalchemy
from sqlalchemy import Engine, text

from docmill_dev.ports import free_port
from docmill_dev.processes import Processes
from docmill_dev.stack import Stack
from tests.conftest import SECRET, api_login, without_docmill
from tests.fakes.gemini_emulator import GeminiEmulator
from tests.migration import releases
from tests.migration.traffic import Balancer, Traffic, unfinished, wrong

Wait = Callable[..., None]
PYTHON = [sys.executable, "-m"]
DRAMATIQ = [*PYTHON, "dramatiq", "--processes", "1", "--threads", "2"]
GUNICORN = [*PYTHON, "gunicorn", "-c", "python:docmill_api.gunicorn_config", "docmill_api.wsgi:app"]


@dataclass
class Rollout:
    """The processes of both releases."""

    processes: Processes
    environment: dict[str, str]
    previous: Path
    engine: Engine
    balancer: Balancer = field(default_factory=Balancer)
    _urls: dict[str, str] = field(default_factory=dict)

    def of(self, release: str, **more: str) -> dict[str, str]:
        """The environment of a process of ``old`` or ``new``."""
        tree = self.previous if release == "old" else releases.REPOSITORY
        path = os.pathsep.join(releases.pythonpath(tree))
        return {**self.environment, "PYTHONPATH": path, **more}

    def migrate(self, release: str) -> None:
        """To the end, with success."""
        name = f"migrate-{release}"
        argv = [*PYTHON, "docmill_shared.migrate"]
        self.processes.start(name, argv, env=self.of(release), ready_line="schema is up to date")
        self.processes.stop(name, signal=0, timeout=180)  # which only waits
        assert self.processes[name].exit_code == 0, self.processes[name].log_tail()

    def revision(self) -> str:
        """What the database says."""
        with self.engine.connect() as connection:
            query = text("select version_num from alembic_version")
            return str(connection.execute(query).scalar_one())

    def start_workers(self, release: str) -> None:
        """An ingest worker and the janitor's worker, ready."""
        for name in ("ingest", "janitor"):
            argv, environment = [*DRAMATIQ, f"docmill_{name}.worker"], self.of(release)
            line = "ready for messages"
            self.processes.start(f"{name}-{release}", argv, env=environment, ready_line=line)
        self.processes.wait_ready(120)

    def start_scheduler(self, release: str) -> None:
        """The janitor's scheduler, ready."""
        argv, line = [*PYTHON, "docmill_janitor.scheduler"], "the schedule runs"
        name = f"scheduler-{release}"
        self.processes.start(name, argv, env=self.of(release), ready_line=line)
        self.processes.wait_ready(120)

    def start_api(self, name: str) -> None:
        """One api that gets requests once it is ready; ``name`` begins with its release."""
        port = free_port()
        self._urls[name] = f"http://127.0.0.1:{port}"
        environment = self.of(name.partition("-")[0], API_PORT=str(port))
        ready = f"{self._urls[name]}/readyz"
        self.processes.start(name, GUNICORN, env=environment, ready_url=ready)
        self.processes.wait_ready(120)
        self.balancer.add(self._urls[name])

    def stop_api(self, name: str) -> None:
        """As an orchestrator: no more requests, then SIGTERM."""
        self.balancer.remove(self._urls[name])
        self.stop(name)

    def stop(self, name: str) -> None:
        """SIGTERM, and it ends by itself."""
        self.processes.stop(name, timeout=90)
        process = self.processes[name]
        assert process.exit_code == 0, f"{name}: {process.exit_code}\n{process.log_tail()}"


@pytest.fixture
def rollout(stack: Stack, redis_url: str, tmp_path: Path) -> Iterator[Rollout]:
    """A database without any schema, and the previous release's code."""
    previous = tmp_path / "previous"
    if releases.export_previous(previous) is None:
        pytest.skip(
            f"the history of this clone does not reach back to schema {releases.before_head()};"
            " tests/migration/test_previous_statements.py stands in for it"
        )
    url = stack.create_database(f"rolling_{uuid4().hex[:12]}")
    engine = sqlalchemy.create_engine(url)
    servers = stack.environment()
    with (
        GeminiEmulator() as emulator,
        Processes(log_directory=tmp_path / "logs") as processes,
    ):
        emulator.control(latency_ms=20)
        environment = {
            **without_docmill(os.environ),
            **servers,
            "DATABASE_URL": url,
            "API_DATABASE_URL": api_login(url, servers),
            "REDIS_URL": redis_url,
            "JWT_SECRET": SECRET,
            "API_WORKERS": "1",
            "RATE_LIMITS": "false",
            "GEMINI_API_KEY": emulator.api_key,
            "GEMINI_BASE_URL": emulator.base_url,
            "DISPATCH_SECONDS": "1",
            "RECOVER_SECONDS": "1",
            "LEASE_SECONDS": "5",
        }
        yield Rollout(processes, environment, previous, engine)
    engine.dispose()


@pytest.mark.timeout(900)
def test_no_request_fails_and_no_file_is_lost(
    rollout: Rollout, tmp_path: Path, eventually: Wait
) -> None:
    # Given the previous release at work on its own schema
    rollout.migrate("old")
    assert rollout.revision() == releases.before_head()
    rollout.start_workers("old")
    rollout.start_scheduler("old")
    rollout.start_api("old-1")
    rollout.start_api("old-2")

    with Traffic(rollout.balancer) as traffic:

        def goes_on() -> None:
            """What is uploaded from now on is ingested, and searches are answered."""
            uploads, searches = len(traffic.uploaded), traffic.searches

            def went_on() -> bool:
                assert not traffic.errors, traffic.errors
                fresh = [each.id for each in traffic.uploaded[uploads : uploads + 3]]
                return (
                    len(fresh) == 3
                    and traffic.searches > searches
                    and _completed(rollout.engine, [str(each) for each in fresh]) == 3
                )

            eventually(went_on, timeout=180, what="uploads are ingested and searches answered")

        goes_on()
        # When this release's migration runs, Then the previous release goes on
        rollout.migrate("new")
        assert rollout.revision() == releases.head()
        goes_on()
        # When the workers of both releases work, and then only the new ones
        rollout.start_workers("new")
        goes_on()
        rollout.stop("ingest-old")
        rollout.stop("janitor-old")
        goes_on()
        # When the scheduler is replaced, which sends jobs that old workers do not know
        rollout.start_scheduler("new")
        rollout.stop("scheduler-old")
        goes_on()
        # When the apis are replaced one by one
        for number in (1, 2):
            rollout.start_api(f"new-{number}")
            rollout.stop_api(f"old-{number}")
            goes_on()
        traffic.stop()
        uploaded = list(traffic.uploaded)
        assert not traffic.errors

    # Then every file is COMPLETED with its passages, and nothing is left over
    eventually(lambda: unfinished(rollout.engine) == 0, timeout=180)
    assert wrong(rollout.engine, uploaded) == []
    assert len(uploaded) > 15
    with redis.Redis.from_url(rollout.environment["REDIS_URL"]) as client:
        assert list(client.scan_iter("dramatiq:*.XQ*")) == []
    assert rollout.processes.failed() is None
    assert _complaints(tmp_path / "logs") == []


def _completed(engine: Engine, ids: list[str]) -> int:
    with engine.connect() as connection:
        query = "select count(*) from files where id = any(:ids) and status = 'COMPLETED'"
        return int(connection.execute(text(query), {"ids": ids}).scalar_one())


def _complaints(logs: Path) -> list[str]:
    """Lines of any process that are errors, or no lines of a log at all but tracebacks."""
    found = []
    for log in logs.glob("*.log"):
        for line in log.read_text().splitlines():
            try:
                bad = json.loads(line).get("level") in ("error", "critical")
            except (ValueError, AttributeError):
                bad = "Traceback" in line
            if bad:
                found.append(f"{log.stem}: {line}")
    return found
