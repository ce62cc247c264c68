"""``/livez`` and ``/readyz`` of every process: what they look at, and what leaves them alone."""

import ctypes
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dramatiq
import psutil
import pytest
from apscheduler.events import EVENT_JOB_SUBMITTED, SchedulerEvent
from apscheduler.schedulers.background import BackgroundScheduler

from docmill_api.gunicorn_health import GunicornHealth
from docmill_dev.ports import free_port
from docmill_dev.processes import ProcessFailed
from docmill_dev.stack import Stack
from docmill_ingest.settings import IngestSettings
from docmill_janitor.scheduler_health import SILENCE, SchedulerHealth
from docmill_shared.broker import HardenedRedisBroker, create_broker
from docmill_shared.database import create_engine
from docmill_shared.errors import ConfigurationError
from docmill_shared.health_endpoint import HealthEndpoint
from docmill_shared.objects import S3ObjectStore
from docmill_shared.settings import ServiceSettings
from docmill_shared.worker_health import WorkerHealth
from tests.fakes.gemini_emulator import GeminiEmulator
from tests.integration.api.driver import settings_from
from tests.integration.fleet import COMMANDS, Fleet, answer_of, fleet, http
from tests.owners import Owner, new_owner, prose

Wait = Callable[..., None]
PASSWORD = "correct horse battery"


@pytest.fixture
def running(service_environment: dict[str, str], tmp_path: Path) -> Iterator[Fleet]:
    with fleet({**service_environment, "API_WORKERS": "2"}, tmp_path / "logs") as processes:
        yield processes


@pytest.fixture
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of which only Valkey is our own, to be stopped."""
    elsewhere = {"DATABASE_URL": "postgresql://elsewhere/x", "S3_ENDPOINT": "http://elsewhere"}
    with Stack(tmp_path_factory.mktemp("valkey"), environ=elsewhere) as stack:
        yield stack


@pytest.fixture
def owner(service_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Owner]:
    for name, value in service_environment.items():
        monkeypatch.setenv(name, value)
    settings = IngestSettings.load()
    engine = create_engine(settings, "docmill-test")
    yield new_owner(engine, S3ObjectStore(settings))
    engine.dispose()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_process_answers_and_does_nothing_else(running: Fleet, name: str) -> None:
    running.start(name)
    assert running.get(name, "/livez") == (200, "ok\n")
    assert running.get(name, "/readyz") == (200, "ok\n")
    assert "docmill_build_info{" in running.get(name, "/metrics")[1]
    port = running.health_ports[name]
    assert [answer_of(port, path)[0] for path in ("/", "/metrics/..", "/livezz")] == [404] * 3
    assert [answer_of(port, "/livez", verb)[0] for verb in ("POST", "DELETE", "PUT")] == [501] * 3
    # And it is on loopback, unless told otherwise
    family = (psutil.Process(running[name].pid), *children(running[name].pid))
    listening = {
        connection.laddr.ip
        for process in family
        for connection in connections_of(process)
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
    }
    assert listening == {"127.0.0.1"}


def children(pid: int) -> list[psutil.Process]:
    found: list[psutil.Process] = psutil.Process(pid).children(recursive=True)
    return found


def connections_of(process: psutil.Process) -> list[Any]:
    """None of one that has ended since it was found."""
    try:
        return list(process.net_connections("tcp"))
    except psutil.NoSuchProcess:
        return []


@pytest.mark.parametrize("name", COMMANDS)
def test_a_port_that_is_taken_ends_the_start_with_a_sentence(running: Fleet, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with pytest.raises(ProcessFailed, match=f"HEALTH_PORT={port} on 127.0.0.1 cannot be used"):
            running.start(name, HEALTH_PORT=port)


def test_workers_with_several_processes_are_refused(running: Fleet) -> None:
    """The second could not be seen by any probe; several pods can."""
    port = str(free_port())
    argv = [*COMMANDS["ingest"][:3], "--processes", "2", "--threads", "1"]
    env = {**running.environment, "HEALTH_PORT": port}
    process = running.processes.start("two", argv, env=env, ready_line="never to be seen")
    with pytest.raises(ProcessFailed, match="run workers with --processes 1"):
        running.processes.wait_ready()
    assert process.exit_code == 2


@pytest.mark.parametrize("name", ["ingest", "janitor"])
def test_a_worker_without_redis_is_alive(
    running: Fleet, name: str, valkey: Stack, eventually: Wait
) -> None:
    running.start(name, REDIS_URL=valkey.environment()["REDIS_URL"])
    valkey.valkey.kill()
    log = running[name].log
    eventually(lambda: "connection error" in log.read_text(), what="it has noticed")
    assert running.get(name, "/livez") == (200, "ok\n")
    valkey.valkey.start()
    assert running.get(name, "/livez") == (200, "ok\n")


@pytest.fixture
def worker_here(
    service_environment: dict[str, str],
) -> Iterator[tuple[dramatiq.Worker, HealthEndpoint]]:
    """A worker in this process, with a queue and a delay queue of its own."""
    fields = ServiceSettings.model_fields
    settings = ServiceSettings(
        **{  # type: ignore[arg-type]
            **{
                n: service_environment[n.upper()]
                for n in fields
                if n.upper() in service_environment
            },
            "redis_url": service_environment["REDIS_URL"].rpartition("/")[0] + "/9",
            "health_port": free_port(),
        }
    )
    broker: HardenedRedisBroker = create_broker(settings)
    health = WorkerHealth("test", settings, bytes)
    broker.add_middleware(health)
    dramatiq.actor(broker=broker, queue_name="mortal", actor_name="nothing")(lambda: None)
    worker = dramatiq.Worker(broker, worker_threads=2)
    worker.start()
    endpoint = health._endpoint
    assert endpoint is not None
    yield worker, endpoint
    worker.stop()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("victim", ["mortal", "mortal.DQ", "a worker thread"])
def test_a_worker_whose_thread_has_died_is_not_alive(
    worker_here: tuple[dramatiq.Worker, HealthEndpoint], victim: str, eventually: Wait
) -> None:
    worker, endpoint = worker_here
    assert answer_of(endpoint.port, "/livez") == (200, "ok\n")
    thread = worker.consumers[victim] if victim in worker.consumers else worker.workers[0]
    kill(thread)
    eventually(lambda: answer_of(endpoint.port, "/livez")[0] == 503)
    sentence = answer_of(endpoint.port, "/livez")[1]
    of_a_queue = f"The consumer thread of the queue {victim} has ended.\n"
    assert sentence == (of_a_queue if "mortal" in victim else "A worker thread has ended.\n")
    assert not thread.is_alive()


def kill(thread: threading.Thread) -> None:
    """Raise what nobody catches in another thread."""
    assert thread.ident is not None
    raised = ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit)
    )
    assert raised == 1


def test_a_worker_is_not_ready_in_its_grace_period(
    running: Fleet, owner: Owner, eventually: Wait
) -> None:
    with GeminiEmulator() as emulator:
        emulator.control(hang_next=1)
        settings = {
            "DISPATCH_SECONDS": "1",
            "SHUTDOWN_GRACE_SECONDS": "200",
            "GEMINI_API_KEY": emulator.api_key,
            "GEMINI_BASE_URL": emulator.base_url,
            "GEMINI_TIMEOUT_SECONDS": "200",
        }
        running.start("ingest", "scheduler", "janitor", **settings)
        file_id = owner.upload(prose(5), "a.txt")
        eventually(lambda: emulator.stats()["in_flight"] > 0, what="the provider is asked")
        running["ingest"].send(signal.SIGTERM)
        eventually(lambda: running.get("ingest", "/readyz")[0] == 503)
        assert running.get("ingest", "/readyz")[1] == "The worker is shutting down.\n"
        assert running.get("ingest", "/livez") == (200, "ok\n")
        emulator.release_hung()
        eventually(lambda: running["ingest"].exit_code == 0)
        file = owner.file(file_id)
        assert file is not None
        assert file.status == "COMPLETED"


def test_an_api_is_not_ready_in_its_grace_period(running: Fleet, eventually: Wait) -> None:
    with GeminiEmulator() as emulator:
        gemini = {"GEMINI_API_KEY": emulator.api_key, "GEMINI_BASE_URL": emulator.base_url}
        running.start("api", API_GRACEFUL_SECONDS="200", **gemini)
        emulator.control(hang_next=1)
        credentials = {"email": "grace@example.org", "password": PASSWORD}
        assert running.call("POST", "/v1/auth/register", credentials).status == 201
        token = running.call("POST", "/v1/auth/login", credentials).json()["access_token"]
        statuses: list[int] = []

        def search() -> None:
            answer = running.call("POST", "/v1/search", {"query": "slow"}, token)
            statuses.append(answer.status)

        searching = threading.Thread(target=search)
        searching.start()
        eventually(lambda: emulator.stats()["in_flight"] > 0, what="the provider is asked")
        running["api"].send(signal.SIGTERM)
        eventually(lambda: running.get("api", "/readyz")[0] == 503)
        assert running.get("api", "/readyz")[1] == "The api is shutting down.\n"
        assert running.get("api", "/livez") == (200, "ok\n")
        emulator.release_hung()
        searching.join()
        assert statuses == [200]
        eventually(lambda: running["api"].exit_code == 0)


def test_an_api_that_loses_a_worker_is_alive(running: Fleet, eventually: Wait) -> None:
    running.start("api")
    api = running["api"].pid
    eventually(lambda: len(children(api)) == 2)
    victim = children(api)[0].pid
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: not psutil.pid_exists(victim) and len(children(api)) == 2)
    assert running.get("api", "/livez") == (200, "ok\n")
    assert running.get("api", "/readyz") == (200, "ok\n")


def test_an_api_of_which_no_worker_answers_is_not_alive(
    service_environment: dict[str, str], tmp_path: Path
) -> None:
    health = GunicornHealth(settings_from(service_environment), folder=str(tmp_path), timeout=60)

    def silent_for(*seconds: float) -> SimpleNamespace:
        beats = [time.monotonic() - each for each in seconds]
        workers = [SimpleNamespace(tmp=SimpleNamespace(last_update=beats.pop)) for _ in seconds]
        return SimpleNamespace(LISTENERS=["one"], WORKERS=dict(enumerate(workers)))

    assert health.alive(silent_for()) is None
    assert health.alive(silent_for(125, 3)) is None
    assert health.alive(silent_for(125, 121)) == "No worker process gives a sign of life."


def test_the_schedule_must_be_looked_at() -> None:
    # Given a scheduler with a clock of our own
    now = [0.0]
    scheduler = BackgroundScheduler()
    health = SchedulerHealth(scheduler, clock=lambda: now[0])
    assert health.ready() == "The scheduler has not started yet."
    scheduler.start()
    assert health.ready() is None
    # When its loop is silent for too long, it is not alive; and it is again when it goes on
    now[0] = SILENCE.total_seconds()
    assert health.alive() is None
    now[0] += 1
    assert health.alive() == "The schedule was not looked at for 121 s."
    scheduler._dispatch_event(SchedulerEvent(EVENT_JOB_SUBMITTED))
    assert health.alive() is None
    # When it is told to end it is alive and not ready
    health.stop()
    now[0] += 1_000
    assert health.alive() is None
    assert health.ready() == "The scheduler is shutting down."
    scheduler.shutdown()


@pytest.fixture
def endpoint() -> Iterator[HealthEndpoint]:
    def fail() -> str | None:
        raise RuntimeError("a secret")

    made = HealthEndpoint("127.0.0.1", 0, alive=fail, ready=lambda: None, metrics=lambda: b"x 1\n")
    yield made
    made.close()


def test_a_check_that_fails_says_nothing_about_it(endpoint: HealthEndpoint) -> None:
    assert answer_of(endpoint.port, "/livez") == (500, "failed\n")
    answer = http.request("GET", f"http://127.0.0.1:{endpoint.port}/readyz")
    assert answer.headers["Server"] == "docmill "
    assert sys.version.split()[0] not in str(answer.headers)


def test_idle_connections_take_no_more_than_their_share(
    endpoint: HealthEndpoint, eventually: Wait
) -> None:
    before = threading.active_count()
    idle = [socket.create_connection(("127.0.0.1", endpoint.port)) for _ in range(60)]
    eventually(lambda: threading.active_count() > before)
    assert threading.active_count() - before <= 16
    for connection in idle:
        connection.close()
    eventually(lambda: answer_of(endpoint.port, "/readyz") == (200, "ok\n"))


def test_an_address_that_is_not_ours_is_a_sentence() -> None:
    with pytest.raises(ConfigurationError, match="cannot be used: "):
        HealthEndpoint("192.0.2.1", 1, alive=str, ready=str, metrics=bytes)
