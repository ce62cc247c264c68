"""Three schedulers on one schedule, one of them killed and one paused on the way."""

import signal
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
from sqlalchemy import Engine, select, text

from docmill_dev.processes import Process, Processes
from docmill_shared.schema import JobRun
from tests.fakes.scheduler_replica import JOB, PERIOD, TICKS
from tests.integration.janitor.conftest import Build

SLOTS = 12


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with Processes(log_directory=tmp_path) as running:
        yield running


def slots(engine: Engine) -> list[datetime]:
    """The slots that were run, a row for each run."""
    with engine.connect() as connection:
        found = connection.execute(
            select(JobRun.slot).where(JobRun.job == JOB, JobRun.finished_at.is_not(None))
        ).scalars()
        return sorted(slot for slot in found if slot is not None)


def pause_between_slots(replica: Process, engine: Engine, eventually: Callable[..., None]) -> None:
    """Not in the middle of claiming one: it holds the job's row then, and the others wait for it
    until the server ends its transaction; and a message that it has just sent is sent again."""
    of_its_connections = text(
        "select count(*) from pg_stat_activity where client_port = any(:ports)"
        " and xact_start is not null"
    )

    def stands_between_slots() -> bool:
        process = psutil.Process(replica.pid)
        replica.send(signal.SIGSTOP)
        eventually(lambda: process.status() == psutil.STATUS_STOPPED)
        ports = [each.laddr.port for each in process.net_connections("tcp")]
        with engine.connect() as connection:
            if connection.execute(of_its_connections, {"ports": ports}).scalar_one() == 0:
                return True
        replica.send(signal.SIGCONT)
        return False

    eventually(stands_between_slots)


def test_each_slot_runs_exactly_once(
    build: Build,
    processes: Processes,
    service_environment: dict[str, str],
    engine: Engine,
    eventually: Callable[..., None],
) -> None:
    redis = build().broker.client  # empties the queues
    environment = {**service_environment, "PYTHONPATH": str(Path(__file__).parents[3])}
    program = [sys.executable, "-m", "tests.fakes.scheduler_replica"]
    processes.start("worker", [*program, "worker"], env=environment, ready_line="ready for")
    replicas = [
        processes.start(
            f"replica-{number}",
            [*program, "scheduler"],
            env=environment,
            ready_line="the schedule runs",
        )
        for number in range(3)
    ]
    processes.wait_ready(120)

    def are_run(number: int) -> bool:
        return len(slots(engine)) >= number

    eventually(lambda: are_run(SLOTS // 3))
    pause_between_slots(replicas[0], engine, eventually)
    processes.kill("replica-0")
    pause_between_slots(replicas[1], engine, eventually)
    eventually(lambda: are_run(2 * SLOTS // 3))
    replicas[1].send(signal.SIGCONT)
    eventually(lambda: are_run(SLOTS))

    for replica in replicas[1:]:
        pause_between_slots(replica, engine, eventually)
        processes.kill(replica.name)
    eventually(lambda: not redis.hlen("dramatiq:janitor.msgs"))
    found = slots(engine)
    assert int(redis.get(TICKS) or 0) == len(found), "a slot was run twice"
    assert {later - earlier for earlier, later in pairwise(found)} == {PERIOD}
