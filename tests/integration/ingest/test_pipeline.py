"""The pipeline on real Postgres and S3: what a file becomes, and what it leaves behind."""

import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID

import numpy as np
import pytest
import sqlalchemy
from sqlalchemy import update

from docmill_ingest import work
from docmill_ingest.pipeline import ingest
from docmill_ingest.resources import Resources
from docmill_shared import chunks
from docmill_shared.chunks import chunk_id
from docmill_shared.errors import ObjectMissing
from docmill_shared.schema import File
from docmill_shared.states import Visibility
from tests.fakes.gemini_emulator import GeminiEmulator
from tests.integration.ingest.conftest import Build
from tests.integration.ingest.held import held_at_the_provider
from tests.owners import Owner, prose


def object_exists(owner: Owner, file_id: UUID) -> bool:
    try:
        owner.objects.head(f"uploads/{owner.id}/{file_id}")
    except ObjectMissing:
        return False
    return True


def test_a_text_becomes_passages_with_their_place(resources: Resources, owner: Owner) -> None:
    file_id = owner.upload(prose(40, seed=102), "log-book.txt")

    ingest(file_id, resources)

    file = owner.file(file_id)
    assert file is not None
    assert (file.status, file.lease_token, file.stage) == ("COMPLETED", None, None)
    stored = owner.chunks(file_id)
    assert file.chunk_count == len(stored) > 20
    assert [chunk["ordinal"] for chunk in stored] == list(range(len(stored)))
    for chunk in stored:
        assert chunk["id"] == chunk_id(file_id, chunk["ordinal"], chunk["text"])
        assert (chunk["owner_id"], chunk["visibility"]) == (owner.id, "private")
        assert chunk["char_end"] - chunk["char_start"] == len(chunk["text"])
        assert chunk["token_count"] > 0
        assert abs(np.linalg.norm(chunk["embedding"]) - 1) < 1e-2
    assert "reading31" in stored[0]["text"]


def test_the_stored_vector_is_the_embedders(resources: Resources, owner: Owner) -> None:
    file_id = owner.upload(b"The barometer fell all night.", "weather.txt")
    ingest(file_id, resources)
    [chunk] = owner.chunks(file_id)
    expected = resources.embedder.embed_documents(["weather\n\nThe barometer fell all night."])[0]
    assert np.allclose(chunk["embedding"], expected, atol=1e-3)


def test_nul_bytes_and_odd_unicode_are_stored(resources: Resources, owner: Owner) -> None:
    file_id = owner.upload("zero\x00byte \U0001f600 café \u202e weird".encode(), "odd.txt")
    ingest(file_id, resources)
    [chunk] = owner.chunks(file_id)
    assert "\x00" not in chunk["text"]
    assert "\U0001f600 café" in chunk["text"]


def test_without_an_object_the_reservation_goes_quietly(resources: Resources, owner: Owner) -> None:
    file_id = owner.reserve("never.txt", 10)
    owner.confirm(file_id)
    ingest(file_id, resources)
    assert owner.file(file_id) is None


def test_the_same_content_again_is_a_duplicate(resources: Resources, owner: Owner) -> None:
    first, second = (
        owner.upload(prose(3, seed=106), "a.txt"),
        owner.upload(prose(3, seed=106), "b.txt"),
    )
    ingest(first, resources)
    ingest(second, resources)
    file = owner.file(second)
    assert file is not None
    assert (file.status, file.duplicate_of, file.chunk_count) == ("DUPLICATE", first, None)
    assert file.object_deleted_at is not None
    assert not object_exists(owner, second)
    assert object_exists(owner, first)
    assert owner.chunks(second) == []


def test_the_same_content_of_another_owner_is_not(
    resources: Resources, owner: Owner, other_owner: Owner
) -> None:
    mine, theirs = owner.upload(prose(3, seed=107)), other_owner.upload(prose(3, seed=107))
    ingest(mine, resources)
    ingest(theirs, resources)
    assert {f.status for f in (owner.file(mine), owner.file(theirs)) if f} == {"COMPLETED"}


def test_two_at_the_same_moment_end_as_one_and_its_duplicate(
    build: Build, emulator: GeminiEmulator, owner: Owner, eventually: Callable[..., None]
) -> None:
    """Both pass the early check before either completes; the unique index decides."""
    emulator.control(hang_next=2)
    both = [
        build(GEMINI_API_KEY=emulator.api_key, GEMINI_BASE_URL=emulator.base_url) for _ in range(2)
    ]
    files = [owner.upload(prose(3, seed=108), name) for name in ("a.txt", "b.txt")]
    threads = [
        threading.Thread(target=ingest, args=(file_id, resources))
        for file_id, resources in zip(files, both, strict=True)
    ]
    for thread in threads:
        thread.start()
    try:
        eventually(lambda: emulator.stats()["in_flight"] == 2, what="they run at the same time")
    finally:
        emulator.release_hung()
    for thread in threads:
        thread.join(timeout=60)

    rows = {file_id: owner.file(file_id) for file_id in files}
    completed = [file_id for file_id, row in rows.items() if row and row.status == "COMPLETED"]
    duplicate = [file_id for file_id, row in rows.items() if row and row.status == "DUPLICATE"]
    assert len(completed) == len(duplicate) == 1
    loser = rows[duplicate[0]]
    assert loser is not None
    assert loser.duplicate_of == completed[0]
    assert [object_exists(owner, file_id) for file_id in (*completed, *duplicate)] == [True, False]


def test_a_second_message_does_nothing(resources: Resources, owner: Owner) -> None:
    file_id = owner.upload(prose(3, seed=109))
    ingest(file_id, resources)
    before = owner.file(file_id)
    ingest(file_id, resources)
    assert owner.file(file_id) == before


def test_visibility_changed_on_the_way_reaches_the_chunks(
    build: Build, emulator: GeminiEmulator, owner: Owner
) -> None:
    resources = build(GEMINI_API_KEY=emulator.api_key, GEMINI_BASE_URL=emulator.base_url)
    file_id = owner.upload(prose(3, seed=110))
    held = held_at_the_provider(emulator, file_id, resources)
    with held, owner.engine.begin() as connection:
        connection.execute(
            update(File).where(File.id == file_id).values(visibility=Visibility.PUBLIC)
        )
    assert {chunk["visibility"] for chunk in owner.chunks(file_id)} == {"public"}


def test_an_object_replaced_after_its_confirmation_is_refused(
    resources: Resources, owner: Owner
) -> None:
    file_id = owner.upload(prose(3, seed=111))
    owner.put(file_id, prose(50, seed=111))
    ingest(file_id, resources)
    file = owner.file(file_id)
    assert file is not None
    assert (file.status, file.failure_reason) == ("FAILED", "size_mismatch")
    assert owner.chunks(file_id) == []


def test_a_small_file_costs_few_round_trips(
    resources: Resources, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Claim, twin?, tokens, complete, delete old chunks, (COPY): a budget, against creeping up."""
    monkeypatch.setattr(work, "REPORT_SECONDS", 1_000.0)  # as if it took less than a second
    warm, counted = owner.upload(prose(2, seed=1)), owner.upload(prose(2, seed=2))
    ingest(warm, resources)
    statements: list[str] = []
    sqlalchemy.event.listen(
        resources.engine, "before_cursor_execute", lambda *args: statements.append(args[2])
    )
    ingest(counted, resources)
    assert len(statements) <= 5, statements


def test_no_transaction_is_open_while_a_provider_is_awaited(
    gemini: Resources, emulator: GeminiEmulator, owner: Owner, eventually: Callable[..., None]
) -> None:
    file_id = owner.upload(prose(3, seed=113))

    def open_transactions() -> int:
        """Those of one statement come and go: leases are renewed meanwhile."""
        with owner.engine.connect() as connection:
            count: int = connection.execute(
                sqlalchemy.text(
                    "select count(*) from pg_stat_activity where pid <> pg_backend_pid()"
                    " and application_name = 'docmill-ingest' and datname = current_database()"
                    " and xact_start is not null"
                )
            ).scalar_one()
        return count

    with held_at_the_provider(emulator, file_id, gemini):
        eventually(lambda: open_transactions() == 0)
        assert emulator.stats()["in_flight"] == 1


def test_nothing_is_left_of_a_copy_that_fails(
    resources: Resources, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    file_id = owner.upload(prose(30, seed=114))

    def break_off(*_: object) -> None:
        raise ConnectionResetError("the network went away in the middle of the transaction")

    with monkeypatch.context() as patched:
        original = chunks.replace

        def store_then_break_off(*args: Any) -> None:
            original(*args)
            break_off()

        patched.setattr(chunks, "replace", store_then_break_off)
        ingest(file_id, resources)
    file = owner.file(file_id)
    assert file is not None
    assert (file.status, file.attempt) == ("QUEUED", 1)
    assert owner.chunks(file_id) == []
