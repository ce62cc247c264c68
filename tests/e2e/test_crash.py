"""Real processes killed with real signals: the file completes by itself, and exactly once."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest

from docmill_dev.processes import Processes
from docmill_ingest.settings import IngestSettings
from docmill_shared.chunks import chunk_id
from docmill_shared.database import create_engine
from docmill_shared.objects import S3ObjectStore
from tests.fakes.gemini_emulator import GeminiEmulator
from tests.owners import Owner, new_owner, prose

LEASE_SECONDS = 3
DRAMATIQ = [sys.executable, "-m", "dramatiq", "--processes", "1", "--threads"]
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
        running.start("ingest", [*DRAMATIQ, "2", "docmill_ingest.worker"], env=environment)
        running.start(
            "scheduler", [sys.executable, "-m", "docmill_janitor.scheduler"], env=environment
        )
        running.start("janitor", [*DRAMATIQ, "2", "docmill_janitor.worker"], env=environment)
        running.wait_ready()
        yield running


def completed(owner: Owner, file_id: UUID) -> bool:
    file = owner.file(file_id)
    assert file is not None
    assert file.status != "FAILED", file.failure_detail
    return bool(file.status == "COMPLETED")


def texts(owner: Owner, file_id: UUID) -> list[str]:
    return [chunk["text"] for chunk in owner.chunks(file_id)]


def start_in_the_middle(owner: Owner, emulator: GeminiEmulator, eventually: Wait) -> UUID:
    """A long file of which some batches, but by far not all, are embedded and paid for."""
    emulator.control(latency_ms=150)
    content = prose(2_000, seed=hash(owner.id) % 1000)
    file_id = owner.upload(content, "long.txt")
    eventually(lambda: emulator.stats()["texts"] > 300, timeout=60, what="the file is under way")
    file = owner.file(file_id)
    assert file is not None
    assert file.status == "PROCESSING"
    return file_id


def undisturbed(owner: Owner, file_id: UUID, eventually: Wait) -> list[str]:
    """The passages of the same content, ingested by another owner without any trouble."""
    other = new_owner(owner.engine, owner.objects)
    content = b"".join(owner.objects.read(f"uploads/{owner.id}/{file_id}"))
    twin = other.upload(content, "long.txt")
    eventually(lambda: completed(other, twin), timeout=60)
    return texts(other, twin)


def test_kill_9_in_the_middle_of_a_file(
    processes: Processes, owner: Owner, emulator: GeminiEmulator, eventually: Wait
) -> None:
    file_id = start_in_the_middle(owner, emulator, eventually)
    processes.kill("ingest")  # and all that it has started
    assert texts(owner, file_id) == [], "half a file is never to be seen"

    processes.restart("ingest")
    eventually(lambda: completed(owner, file_id), timeout=90)

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
    hasty = {**environment, "SHUTDOWN_GRACE_SECONDS": "0"}
    processes.start("hasty", [*DRAMATIQ, "2", "docmill_ingest.worker"], env=hasty)
    file_id = start_in_the_middle(owner, emulator, eventually)

    processes.stop("hasty")
    file = owner.file(file_id)
    assert file is not None
    assert (file.status, file.attempt, file.deliveries) == ("QUEUED", 0, 0)

    processes.start("next", [*DRAMATIQ, "2", "docmill_ingest.worker"], env=environment)
    eventually(lambda: completed(owner, file_id), timeout=60)
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
    processes.start("next", [*DRAMATIQ, "2", "docmill_ingest.worker"], env=environment)
    eventually(lambda: all(completed(owner, each) for each in files), timeout=90)
