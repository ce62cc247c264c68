"""A flood of one owner's files delays another owner's single file by a few files' time."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Row, text

from docmill_dev.processes import Processes
from docmill_ingest.settings import IngestSettings
from docmill_shared.broker import HardenedRedisBroker, create_broker, send
from docmill_shared.database import create_engine
from docmill_shared.messages import IngestFile
from docmill_shared.objects import S3ObjectStore
from tests.fakes.gemini_emulator import GeminiEmulator
from tests.owners import Owner, new_owner, prose

Wait = Callable[..., None]
#: So many files of the flood wait whenever a single one comes.
FLOOD = 100
SINGLES = 10
THREADS = 2
#: What the worker claims in five files' time.
A_FEW = 5 * THREADS


@pytest.fixture
def environment(service_environment: dict[str, str]) -> Iterator[dict[str, str]]:
    with GeminiEmulator() as emulator:
        emulator.control(latency_ms=800)  # what a file's time consists of
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
    worker = [*python, "dramatiq", "--processes", "1", "--threads", str(THREADS)]
    with Processes(log_directory=tmp_path / "logs") as running:
        for name in ("ingest", "janitor"):
            argv, line = [*worker, f"docmill_{name}.worker"], "ready for messages"
            running.start(name, argv, env=environment, ready_line=line)
        argv, line = [*python, "docmill_janitor.scheduler"], "the schedule runs"
        running.start("scheduler", argv, env=environment, ready_line=line)
        running.wait_ready(120)
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


def waiting(owner: Owner) -> int:
    """How many of the owner's files nobody has claimed yet."""
    query = text("select count(*) from files where owner_id = :id and status = 'QUEUED'")
    with owner.engine.connect() as connection:
        return int(connection.execute(query, {"id": owner.id}).scalar_one())


def in_front(row: Row[Any], flood: list[Row[Any]]) -> int:
    """How many files of the flood were claimed while this one waited."""
    claimed = [each.started_at for each in flood if each.started_at is not None]
    return sum(row.queued_at < each < row.started_at for each in claimed)


def behind(row: Row[Any], flood: list[Row[Any]]) -> int:
    """How many files of the flood waited when this one had been claimed."""
    return sum(each.started_at is None or each.started_at > row.started_at for each in flood)


def test_a_flood_delays_others_by_a_few_files(
    processes: Processes, settings: IngestSettings, eventually: Wait
) -> None:
    engine = create_engine(settings, "docmill-test")
    objects, broker = S3ObjectStore(settings), create_broker(settings)

    def single(number: int) -> Row[Any]:
        """Somebody's only file, ingested before the next somebody comes."""
        owner = new_owner(engine, objects)
        file_id = submit(owner, broker, seed=number)
        eventually(lambda: owner.file(file_id).status == "COMPLETED", timeout=60)  # type: ignore[union-attr]
        row = owner.file(file_id)
        assert row is not None
        return row

    single(0)  # the first file of a worker also waits for it to warm up
    many = new_owner(engine, objects)
    ids: list[UUID] = []
    singles = []
    for number in range(SINGLES):
        while waiting(many) < FLOOD:  # more are sent than are ingested, however slow the machine is
            ids.append(submit(many, broker, seed=len(ids)))
        singles.append(single(2_000 + number))
    flood = [row for row in map(many.file, ids) if row]

    # Counted by the database's clock, not measured: how long a file takes is the machine's affair.
    waited_for = [in_front(row, flood) for row in singles]
    left = min(behind(row, flood) for row in singles)
    print(f"{waited_for} files of a flood of {len(ids)} went before single files; {left} were left")
    assert max(waited_for) < A_FEW
    assert left > 2 * A_FEW, "the flood was still there when each of them had been claimed"
    engine.dispose()
