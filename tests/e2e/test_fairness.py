"""A flood of one owner's files delays another owner's single file by a few files' time."""

import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest

from docmill_dev.processes import Processes
from docmill_ingest.settings import IngestSettings
from docmill_shared.broker import HardenedRedisBroker, create_broker, send
from docmill_shared.database import create_engine
from docmill_shared.messages import IngestFile
from docmill_shared.objects import S3ObjectStore
from tests.fakes.gemini_emulator import GeminiEmulator
from tests.owners import Owner, new_owner, prose

Wait = Callable[..., None]
FLOOD = 150
SINGLES = 10


@pytest.fixture
def environment(service_environment: dict[str, str]) -> Iterator[dict[str, str]]:
    with GeminiEmulator() as emulator:
        emulator.control(latency_ms=200)  # what a file's time consists of
        yield {
            **service_environment,
            "GEMINI_API_KEY": emulator.api_key,
            "GEMINI_BASE_URL": emulator.base_url,
        }


@pytest.fixture
def settings(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> IngestSettings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return IngestSettings.load()


@pytest.fixture
def processes(environment: dict[str, str], tmp_path: Path) -> Iterator[Processes]:
    python = [sys.executable, "-m"]
    worker = [*python, "dramatiq", "--processes", "1", "--threads", "2"]
    with Processes(log_directory=tmp_path / "logs") as running:
        running.start("ingest", [*worker, "docmill_ingest.worker"], env=environment)
        running.start("janitor", [*worker, "docmill_janitor.worker"], env=environment)
        running.start("scheduler", [*python, "docmill_janitor.scheduler"], env=environment)
        running.wait_ready()
        yield running


def submit(owner: Owner, broker: HardenedRedisBroker, seed: int) -> UUID:
    """What the API does on a confirmation: send at once, unless the file counts as bulk."""
    content = prose(2, seed=seed)
    file_id = owner.reserve(f"{seed}.txt", len(content))
    owner.put(file_id, content)
    owner.confirm(file_id, sent=True)
    file = owner.file(file_id)
    assert file is not None
    if file.sent_at is not None:
        send(broker, IngestFile(file_id=str(file_id)))
    return file_id


def waits(owner: Owner, files: list[UUID]) -> list[float]:
    """Seconds from the confirmation to the claim, by the database's clock."""
    rows = [row for row in map(owner.file, files) if row]
    return sorted((row.started_at - row.queued_at).total_seconds() for row in rows)


def p95(values: list[float]) -> float:
    return values[int(len(values) * 0.95)]


def test_a_flood_delays_others_by_a_few_files(
    processes: Processes, settings: IngestSettings, eventually: Wait
) -> None:
    engine = create_engine(settings, "docmill-test")
    objects, broker = S3ObjectStore(settings), create_broker(settings)

    def single(number: int) -> tuple[Owner, UUID]:
        """Somebody's only file, ingested before the next somebody comes."""
        owner = new_owner(engine, objects)
        file_id = submit(owner, broker, seed=number)
        eventually(lambda: owner.file(file_id).status == "COMPLETED", timeout=60)  # type: ignore[union-attr]
        return owner, file_id

    single(0)  # the first file of a worker also waits for it to warm up
    calm = sorted(waits(*_listed(single(1_000 + n)))[0] for n in range(SINGLES))

    many = new_owner(engine, objects)
    flood = [submit(many, broker, seed=number) for number in range(FLOOD)]
    in_flood = sorted(waits(*_listed(single(2_000 + n)))[0] for n in range(SINGLES))
    left = sum(row.status != "COMPLETED" for row in map(many.file, flood) if row)

    rows = [row for row in map(many.file, flood) if row and row.status == "COMPLETED"]
    a_file = statistics.median((row.finished_at - row.started_at).total_seconds() for row in rows)
    print(
        f"p95 wait of a single file: {p95(calm):.3f} s alone, {p95(in_flood):.3f} s in a flood of"
        f" {FLOOD} ({p95(in_flood) / a_file:.1f} files' time; {left} still waited at the end)"
    )
    assert left > FLOOD / 4, "the flood was still there when the last single file was done"
    assert p95(in_flood) < 5 * a_file
    engine.dispose()


def _listed(pair: tuple[Owner, UUID]) -> tuple[Owner, list[UUID]]:
    return pair[0], [pair[1]]
