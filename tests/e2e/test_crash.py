"""Real processes killed with real signals: the file completes by itself, and exactly once."""

import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from docmill_dev.ports import free_port
from docmill_dev.processes import Processes
from docmill_ingest.settings import IngestSettings
from docmill_shared.chunks import chunk_id
from docmill_shared.database import create_engine
from docmill_shared.objects import S3ObjectStore
from tests.fakes.gemini_emulator import GeminiEmulator
from tests.owners import Owner, new_owner, prose

#: Short enough to wait for its end, and long enough to outlast a pause of a busy machine.
LEASE_SECONDS = 6
DRAMATIQ = [sys.executable, "-m", "dramatiq", "--processes", "1", "--threads"]
EMBED = "batchEmbedContents"
Wait = Callable[..., None]


@pytest.fixture
def emulator() -> Iterator[GeminiEmulator]:
    with GeminiEmulator() as running:
        yield running


@pytest.fixture
def environment(
    service_environment: dict[str, str], emulator: GeminiEmulator, tmp_path: Path
) -> dict[str, str]:
    work = tmp_path / "work"
    work.mkdir()
    return {
        **service_environment,
        "GEMINI_API_KEY": emulator.api_key,
        "GEMINI_BASE_URL": emulator.base_url,
        "LEASE_SECONDS": str(LEASE_SECONDS),
        "RECOVER_SECONDS": "1",
        "DISPATCH_SECONDS": "1",
        "RETRY_SECONDS": "0.2",
        "WORK_DIRECTORY": str(work),
    }


@pytest.fixture
def owner(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Owner]:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = IngestSettings.load()
    engine = create_engine(settings, "docmill-test")
    yield new_owner(engine, S3ObjectStore(settings))
    engine.dispose()


@pytest.fixture
def processes(environment: dict[str, str], tmp_path: Path) -> Iterator[Processes]:
    with Processes(log_directory=tmp_path / "logs") as running:
        start_worker(running, "ingest", environment)
        start_worker(running, "janitor", environment)
        argv = [sys.executable, "-m", "docmill_janitor.scheduler"]
        running.start("scheduler", argv, env=environment, ready_line="the schedule runs")
        running.wait_ready(120)
        yield running


def start_worker(
    processes: Processes, name: str, environment: dict[str, str], service: str = ""
) -> None:
    """A worker of this service, if it is not called by it already; it need not be ready yet."""
    argv = [*DRAMATIQ, "2", f"docmill_{service or name}.worker"]
    processes.start(name, argv, env=environment, ready_line="ready for messages")


def completed(owner: Owner, file_id: UUID) -> bool:
    file = owner.file(file_id)
    assert file is not None
    assert file.status != "FAILED", file.failure_detail
    return bool(file.status == "COMPLETED")


def texts(owner: Owner, file_id: UUID) -> list[str]:
    return [chunk["text"] for chunk in owner.chunks(file_id)]


def start_in_the_middle(owner: Owner, emulator: GeminiEmulator, eventually: Wait) -> UUID:
    """A long file of which some batches, but by far not all, are embedded and paid for.

    The calls for some more are with the provider, which keeps them until :func:`let_go_on`.
    """
    emulator.control(hang_method=EMBED)
    content = prose(2_000, seed=hash(owner.id) % 1000)
    file_id = owner.upload(content, "long.txt")

    def some_are_paid_for() -> bool:
        if emulator.stats()["texts"] <= 300:
            emulator.release_hung()  # those that hang now; whatever comes next hangs again
            return False
        return bool(emulator.stats()["in_flight"])

    eventually(some_are_paid_for, timeout=120, what="the file is under way")
    file = owner.file(file_id)
    assert file is not None
    assert file.status == "PROCESSING"
    return file_id


def let_go_on(emulator: GeminiEmulator) -> None:
    """The provider answers, also what it has kept."""
    emulator.control(hang_method="")
    emulator.release_hung()


def is_ending(port: int) -> bool:
    """Whether the worker whose health endpoint this is knows that it must end."""
    try:
        answer = httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False)
    except httpx.TransportError:
        return False
    return answer.status_code == 503


def undisturbed(owner: Owner, file_id: UUID, eventually: Wait) -> list[str]:
    """The passages of the same content, ingested by another owner without any trouble."""
    other = new_owner(owner.engine, owner.objects)
    content = b"".join(owner.objects.read(f"uploads/{owner.id}/{file_id}"))
    twin = other.upload(content, "long.txt")
    eventually(lambda: completed(other, twin), timeout=120)
    return texts(other, twin)


def test_kill_9_in_the_middle_of_a_file(
    processes: Processes, owner: Owner, emulator: GeminiEmulator, eventually: Wait
) -> None:
    file_id = start_in_the_middle(owner, emulator, eventually)
    processes.kill("ingest")  # and all that it has started
    assert texts(owner, file_id) == [], "half a file is never to be seen"
    let_go_on(emulator)

    processes.restart("ingest")
    eventually(lambda: completed(owner, file_id), timeout=120)

    expected = undisturbed(owner, file_id, eventually)
    chunks = owner.chunks(file_id)
    assert [chunk["id"] for chunk in chunks] == [
        chunk_id(file_id, ordinal, text) for ordinal, text in enumerate(expected)
    ]
    paid = emulator.stats()["text_sha256"]
    twice = sum(count > 1 for count in paid.values())
    in_flight = 4 * 100  # what was with the provider when the worker died cannot have been kept
    assert twice <= in_flight
    assert max(paid.values()) <= 2


def test_sigterm_hands_a_running_file_back_at_once(
    processes: Processes,
    owner: Owner,
    emulator: GeminiEmulator,
    environment: dict[str, str],
    eventually: Wait,
) -> None:
    processes.stop("ingest")
    # No lease ends in this test, however slow the machine is.
    patient = {**environment, "LEASE_SECONDS": "120"}
    port = free_port()
    hasty = {**patient, "SHUTDOWN_GRACE_SECONDS": "0", "HEALTH_PORT": str(port)}
    start_worker(processes, "hasty", hasty, service="ingest")
    file_id = start_in_the_middle(owner, emulator, eventually)

    worker = processes["hasty"]
    worker.send(signal.SIGTERM)
    eventually(lambda: worker.exit_code is not None or is_ending(port), timeout=60)
    let_go_on(emulator)
    processes.stop("hasty", signal=0, timeout=60)  # which only waits
    assert worker.exit_code == 0, worker.log_tail()
    file = owner.file(file_id)
    assert file is not None
    assert (file.status, file.attempt, file.deliveries) == ("QUEUED", 0, 0)

    start_worker(processes, "next", patient, service="ingest")
    eventually(lambda: completed(owner, file_id), timeout=120)
    assert max(emulator.stats()["text_sha256"].values()) == 1, "nothing was paid for twice"


def test_all_messages_lost_loses_nothing(
    processes: Processes,
    owner: Owner,
    environment: dict[str, str],
    eventually: Wait,
) -> None:
    import redis

    processes.stop("ingest")
    files = [owner.upload(prose(2, seed=n), f"{n}.txt") for n in range(5)]
    client = redis.Redis.from_url(environment["REDIS_URL"])
    client.flushall()
    start_worker(processes, "next", environment, service="ingest")
    eventually(lambda: all(completed(owner, each) for each in files), timeout=120)
