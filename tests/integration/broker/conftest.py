"""A Valkey of one's own to kill, and worker processes of either broker."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from dramatiq.brokers.redis import RedisBroker

from docmill_dev.processes import Process, Processes
from docmill_dev.stack import Stack
from tests.fakes.broker_worker import declare, make_broker

Start = Callable[..., Process]


@pytest.fixture
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of which only Valkey is our own; the rest is declared to be somewhere else."""
    elsewhere = {"DATABASE_URL": "postgresql://elsewhere/x", "S3_ENDPOINT": "http://elsewhere"}
    with Stack(tmp_path_factory.mktemp("valkey"), environ=elsewhere) as running:
        yield running


@pytest.fixture
def url(valkey: Stack) -> str:
    return valkey.environment()["REDIS_URL"]


@pytest.fixture
def events(tmp_path: Path) -> Path:
    path = tmp_path / "events"
    path.touch()
    return path


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with Processes(log_directory=tmp_path / "logs") as running:
        yield running
        running.stop_all(timeout=1)  # what still runs may sleep for minutes


@pytest.fixture
def sender(url: str, events: Path) -> Callable[[str], RedisBroker]:
    """A broker in this process, for sending and looking."""

    def make(kind: str) -> RedisBroker:
        broker = make_broker(kind, url)
        declare(broker, events)
        return broker

    return make


@pytest.fixture
def start(
    processes: Processes,
    url: str,
    events: Path,
    service_environment: dict[str, str],
    eventually: Callable[..., None],
) -> Start:
    """``start(name, kind)``: a worker process that is ready; its log tells whose trouble it had."""

    def start_worker(
        name: str,
        kind: str,
        *,
        heartbeat_timeout: int = 15_000,
        ahead: float = 0,
        maintenance_chance: int = 1_000,
        wait: bool = True,
    ) -> Process:
        argv = [
            sys.executable,
            "-m",
            "tests.fakes.broker_worker",
            kind,
            url,
            str(events),
            str(heartbeat_timeout),
            str(ahead),
            str(maintenance_chance),
        ]
        environment = {**service_environment, "PYTHONPATH": str(Path(__file__).parents[3])}
        process = processes.start(name, argv, env=environment, ready_line="ready")
        if wait:
            processes.wait_ready()
        if wait and kind == "hardened":
            # Its threads say so before they ask for the first time, by which a queue becomes known.
            with redis.Redis.from_url(url) as client:
                eventually(lambda: client.sismember("dramatiq:__queues__", "default.DQ"))
                eventually(lambda: client.sismember("dramatiq:__queues__", "default"))
        return process

    return start_worker
