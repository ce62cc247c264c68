"""Three schedulers on one schedule, one of them killed and one paused on the way."""

import signal
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from docmill_dev.processes import Processes
from docmill_shared.schema import JobRun
from tests.fakes.scheduler_replica import JOB, TICKS
from tests.integration.janitor.conftest import Build

SLOTS = 30


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
    processes.wait_ready(60)

    def are_run(number: int) -> bool:
        return len(slots(engine)) >= number

    eventually(lambda: are_run(SLOTS // 3), timeout=60)
    processes.kill("replica-0")
    replicas[1].send(signal.SIGSTOP)
    eventually(lambda: are_run(2 * SLOTS // 3), timeout=60)
    replicas[1].send(signal.SIGCONT)
    eventually(lambda: are_run(SLOTS), timeout=60)

    for replica in replicas:
        processes.kill(replica.name)
    eventually(lambda: not redis.hlen("dramatiq:janitor.msgs"))
    found = slots(engine)
    assert int(redis.get(TICKS) or 0) == len(found), "a slot was run twice"
    assert {later - earlier for earlier, later in pairwise(found)} == {timedelta(seconds=1)}
