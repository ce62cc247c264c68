"""Attempts that fail: by the real SDK against an emulator that fails on demand."""

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

import pytest
import redis
from sqlalchemy import func, update

from docmill_ingest.outcomes import retry_delay
from docmill_ingest.pipeline import ingest
from docmill_ingest.resources import Resources
from docmill_shared.files import reservations
from docmill_shared.progress import PATTERN, parse_message
from docmill_shared.schema import File
from tests.fakes.gemini_emulator import GeminiEmulator
from tests.integration.ingest.conftest import Build
from tests.integration.ingest.held import held_at_the_provider
from tests.owners import Owner, prose


def make_due(owner: Owner, file_id: UUID) -> None:
    """Instead of waiting for its next attempt."""
    with owner.engine.begin() as connection:
        connection.execute(
            update(File).where(File.id == file_id).values(next_attempt_at=func.now())
        )


def seconds_after(began: datetime, moment: datetime) -> float:
    return (moment - began).total_seconds()


@pytest.mark.parametrize("status", [500, 503])
def test_a_provider_that_is_down_costs_an_attempt_and_a_wait(
    build: Build, emulator: GeminiEmulator, owner: Owner, status: int
) -> None:
    patient = build(
        GEMINI_API_KEY=emulator.api_key,
        GEMINI_BASE_URL=emulator.base_url,
        RETRY_SECONDS="500",
    )
    file_id = owner.upload(prose(3, seed=status))
    emulator.control(fail_next=1, fail_status=status)
    began = datetime.now(UTC)
    ingest(file_id, patient)
    ended = datetime.now(UTC)
    file = owner.file(file_id)
    assert file is not None
    assert (file.status, file.attempt, file.failure_reason) == ("QUEUED", 1, None)
    assert seconds_after(began, file.next_attempt_at) >= 250
    assert seconds_after(ended, file.next_attempt_at) <= 500
    assert file.sent_at is None, "so that the dispatcher sends it when it is due"

    ingest(file_id, patient)
    assert owner.file(file_id) == file, "not before it is due"

    make_due(owner, file_id)
    ingest(file_id, patient)
    file = owner.file(file_id)
    assert file is not None
    assert file.status == "COMPLETED"


def test_after_three_attempts_it_has_failed_with_the_reason(
    gemini: Resources, emulator: GeminiEmulator, owner: Owner
) -> None:
    file_id = owner.upload(prose(3, seed=1))
    emulator.control(fail_next=99, fail_status=503)
    for _ in range(3):
        make_due(owner, file_id)
        ingest(file_id, gemini)
    file = owner.file(file_id)
    assert file is not None
    assert (file.status, file.failure_reason) == ("FAILED", "retries_exhausted")
    assert "3 attempts" in file.failure_detail
    assert owner.chunks(file_id) == []


def test_a_used_up_quota_is_waited_for_and_is_no_attempt(
    gemini: Resources, emulator: GeminiEmulator, owner: Owner
) -> None:
    file_id = owner.upload(prose(3, seed=2))
    emulator.control(fail_next=1, fail_status=429, retry_info_seconds=90)
    began = datetime.now(UTC)
    ingest(file_id, gemini)
    ended = datetime.now(UTC)
    file = owner.file(file_id)
    assert file is not None
    assert (file.status, file.attempt) == ("QUEUED", 0)
    assert seconds_after(began, file.next_attempt_at) >= 90
    assert seconds_after(ended, file.next_attempt_at) <= 90 + 2


def test_a_quota_is_not_waited_for_for_ever(
    gemini: Resources, emulator: GeminiEmulator, owner: Owner
) -> None:
    file_id = owner.upload(prose(3, seed=3))
    with owner.engine.begin() as connection:
        connection.execute(
            update(File)
            .where(File.id == file_id)
            .values(queued_at=func.now() - timedelta(hours=25))
        )
    emulator.control(fail_next=99, fail_status=429, retry_info_seconds=90)
    ingest(file_id, gemini)
    file = owner.file(file_id)
    assert file is not None
    assert (file.status, file.failure_reason) == ("FAILED", "retries_exhausted")


def test_a_retry_pays_for_no_passage_twice(
    gemini: Resources, emulator: GeminiEmulator, owner: Owner
) -> None:
    file_id = owner.upload(prose(900, seed=4))
    emulator.control(fail_probability=0.3, fail_seed=7, fail_status=503)
    attempts = 0
    while True:
        make_due(owner, file_id)
        ingest(file_id, gemini)
        attempts += 1
        file = owner.file(file_id)
        assert file is not None
        if file.status != "QUEUED":
            break
        if attempts == 2:
            emulator.control(fail_probability=0.0)
    assert (file.status, attempts) == ("COMPLETED", 3)
    stats = emulator.stats()
    assert set(stats["text_sha256"].values()) == {1}
    assert stats["texts"] == file.chunk_count
    assert max(stats["batch_sizes"]) <= 100


def test_batches_are_large_and_several_in_flight(
    gemini: Resources,
    emulator: GeminiEmulator,
    owner: Owner,
    eventually: Callable[..., None],
) -> None:
    file_id = owner.upload(prose(700, seed=5))
    emulator.control(hang_next=3)

    def release_once_all_hang() -> None:
        try:
            eventually(lambda: emulator.stats()["in_flight"] == 3)
        finally:
            emulator.release_hung()

    releasing = threading.Thread(target=release_once_all_hang)
    releasing.start()
    ingest(file_id, gemini)
    releasing.join()
    file = owner.file(file_id)
    stats = emulator.stats()
    assert file is not None
    assert file.status == "COMPLETED"
    assert stats["texts"] == file.chunk_count
    assert stats["max_in_flight"] >= 3
    assert stats["calls"] <= file.chunk_count / 50


def test_a_rejected_passage_is_named(
    gemini: Resources, emulator: GeminiEmulator, owner: Owner
) -> None:
    file_id = owner.upload(prose(30, seed=6) + b"\n\nThe FORBIDDEN entry.")
    emulator.control(reject_containing="FORBIDDEN")
    ingest(file_id, gemini)
    file = owner.file(file_id)
    assert file is not None
    assert (file.status, file.failure_reason) == ("FAILED", "embedding_rejected")
    chunks = len(prose(30, seed=6)) // 1000
    assert "refuses passage" in file.failure_detail
    assert int(file.failure_detail.split("passage ")[1].split(":")[0]) > chunks / 2


@pytest.mark.parametrize("fault", [{"dimensions": 5}, {"surplus": -1}, {"garbage_next": 9}])
def test_an_answer_that_cannot_be_is_retried_and_stores_nothing(
    gemini: Resources, emulator: GeminiEmulator, owner: Owner, fault: dict[str, int]
) -> None:
    file_id = owner.upload(prose(3, seed=7))
    emulator.control(**fault)
    ingest(file_id, gemini)
    file = owner.file(file_id)
    assert file is not None
    assert (file.status, file.attempt) == ("QUEUED", 1)
    assert owner.chunks(file_id) == []


def test_a_refused_key_leaves_the_file_waiting_for_the_operator(
    build: Build, emulator: GeminiEmulator, owner: Owner
) -> None:
    resources = build(GEMINI_API_KEY="revoked", GEMINI_BASE_URL=emulator.base_url)
    file_id = owner.upload(prose(3, seed=8))
    ingest(file_id, resources)
    file = owner.file(file_id)
    assert file is not None
    assert (file.status, file.attempt) == ("QUEUED", 0)


def test_a_file_deleted_on_the_way_stops_and_leaves_nothing(
    gemini: Resources, emulator: GeminiEmulator, owner: Owner
) -> None:
    file_id = owner.upload(prose(900, seed=9))
    held = held_at_the_provider(emulator, file_id, gemini)
    with held, owner.engine.begin() as connection:
        assert reservations.start_deletion(connection, file_id, owner.id)
    file = owner.file(file_id)
    assert file is not None
    assert file.status == "DELETING"
    assert owner.chunks(file_id) == []


def test_on_shutdown_a_running_file_goes_back_to_the_queue(
    gemini: Resources, emulator: GeminiEmulator, owner: Owner
) -> None:
    file_id = owner.upload(prose(900, seed=10))
    with held_at_the_provider(emulator, file_id, gemini):
        gemini.leases.end_within(0)
    file = owner.file(file_id)
    assert file is not None
    assert (file.status, file.attempt, file.deliveries) == ("QUEUED", 0, 0)
    assert seconds_after(datetime.now(UTC), file.next_attempt_at) <= 0.5


def test_a_bug_is_an_attempt_too_and_is_not_told_to_the_owner(
    resources: Resources, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(*_: object) -> None:
        raise ZeroDivisionError("internal detail")

    monkeypatch.setattr("docmill_ingest.pipeline.STAGES", (bug,))
    file_id = owner.upload(prose(1, seed=11))
    for _ in range(3):
        make_due(owner, file_id)
        ingest(file_id, resources)
    file = owner.file(file_id)
    assert file is not None
    assert (file.status, file.failure_reason) == ("FAILED", "internal")
    assert "internal detail" not in file.failure_detail


def test_backoff_doubles_with_jitter_and_has_a_ceiling() -> None:
    for attempt in range(4):
        waits = {retry_delay(attempt, 5).total_seconds() for _ in range(50)}
        assert 2.5 * 2**attempt <= min(waits) < max(waits) <= 5 * 2**attempt
    assert retry_delay(30, 5) == timedelta(minutes=15)


def test_a_short_wait_is_spent_with_the_file_in_hand(
    gemini: Resources, emulator: GeminiEmulator, owner: Owner
) -> None:
    file_id = owner.upload(prose(300, seed=12))
    emulator.control(fail_next=1, fail_status=429, retry_info_seconds=1)
    ingest(file_id, gemini)
    file = owner.file(file_id)
    assert file is not None
    assert (file.status, file.attempt) == ("COMPLETED", 0)
    assert emulator.stats()["statuses"] == {"200": emulator.stats()["calls"] - 1, "429": 1}


def test_the_reason_of_every_attempt_is_kept(
    gemini: Resources, emulator: GeminiEmulator, owner: Owner
) -> None:
    file_id = owner.upload(prose(3, seed=13))
    emulator.control(fail_next=1, fail_status=503)
    ingest(file_id, gemini)
    emulator.control(dimensions=5)
    make_due(owner, file_id)
    ingest(file_id, gemini)
    file = owner.file(file_id)
    assert file is not None
    assert file.attempt == len(file.attempts) == 2
    assert "503" in file.attempts[0]["error"]
    assert "5" in file.attempts[1]["error"]


def test_a_cancelled_file_stops_and_leaves_no_chunk(
    gemini: Resources, emulator: GeminiEmulator, owner: Owner
) -> None:
    file_id = owner.upload(prose(900, seed=14))
    held = held_at_the_provider(emulator, file_id, gemini)
    with held, owner.engine.begin() as connection:
        assert reservations.cancel(connection, file_id, owner.id)
    file = owner.file(file_id)
    assert file is not None
    assert (file.status, file.failure_reason) == ("FAILED", "cancelled")
    assert owner.chunks(file_id) == []
    with owner.engine.begin() as connection:
        assert reservations.retry(connection, file_id, owner.id) is None


def test_how_an_attempt_ended_is_told_as_the_row_says_it(
    gemini: Resources, emulator: GeminiEmulator, owner: Owner
) -> None:
    first, again = owner.upload(prose(3, seed=71)), owner.upload(prose(3, seed=71))
    broken = owner.upload(b"%PDF-1.7 and nothing else", name="broken.pdf")
    emulator.control(fail_next=1, fail_status=500)
    ingest(first, gemini)
    make_due(owner, first)
    for file_id in (first, again, broken):
        ingest(file_id, gemini)
    log = gemini.progress
    last_id = log.last_id(owner.id)
    assert last_id is not None
    kept: Any = log._client.xrange(f"docmill:events:{owner.id}", count=1)
    beginning = kept[0][0].decode()
    told = [(each.file_id, each.status) for each in log.since(owner.id, beginning) or []]
    # A file that takes longer than a second is told of while it is PROCESSING as well
    assert [each for each, _ in groupby(told)] == [
        (first, "PROCESSING"),
        (first, "QUEUED"),
        (first, "PROCESSING"),
        (first, "COMPLETED"),
        (again, "PROCESSING"),
        (again, "DUPLICATE"),
        (broken, "PROCESSING"),
        (broken, "FAILED"),
    ]
    (end,) = log.since(owner.id, last_id) or []
    failure = json.loads(end.data)["failure"]
    file = owner.file(broken)
    assert file is not None
    assert failure == {"reason": file.failure_reason, "detail": file.failure_detail}


def test_progress_is_published_to_whoever_watches(
    gemini: Resources, emulator: GeminiEmulator, owner: Owner, service_environment: dict[str, str]
) -> None:
    client = redis.Redis.from_url(service_environment["REDIS_URL"])
    with client.pubsub() as watcher:  # type: ignore[no-untyped-call]
        watcher.psubscribe(PATTERN)
        assert next(watcher.listen())["type"] == "psubscribe"
        file_id = owner.upload(prose(1_500, seed=15))
        emulator.control(latency_ms=400)
        ingest(file_id, gemini)
        entries = []
        for message in watcher.listen():
            owner_id, entry = parse_message(message["channel"], message["data"])
            if owner_id == owner.id:
                entries.append(entry)
                if entry.is_final:
                    break
    events = [json.loads(entry.data) for entry in entries]
    # What was published is what the log keeps
    assert gemini.progress.since(owner.id, entries[0].id) == entries
    file = owner.file(file_id)
    assert file is not None
    assert {event["file_id"] for event in events} == {str(file_id)}
    under_way = [event["chunks_done"] for event in events[:-1]]
    assert under_way == sorted(under_way)
    assert any(0 < done < file.chunk_count for done in under_way)
    assert (events[-1]["status"], events[-1]["chunks_done"]) == ("COMPLETED", file.chunk_count)
