"""A restart of the database, seen from a worker: every connection that it holds is dead."""

from collections.abc import Sequence
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from docmill_ingest.pipeline import ingest
from docmill_ingest.resources import Resources
from docmill_shared.database import outlast
from tests.fakes.gemini_emulator import GeminiEmulator
from tests.owners import Owner, prose

END_CONNECTIONS = text(
    "select count(pg_terminate_backend(pid)) from pg_stat_activity"
    " where datname = current_database() and pid <> pg_backend_pid()"
    " and application_name = 'docmill-ingest'"
)


def end_connections(engine: Engine) -> int:
    """As a restart does; returns how many there were."""
    with engine.connect() as connection:
        return int(connection.execute(END_CONNECTIONS).scalar_one())


def test_a_worker_whose_connections_died_claims_the_file_all_the_same(
    gemini: Resources, owner: Owner, engine: Engine
) -> None:
    ingest(owner.upload(prose(3, seed=1)), gemini)
    file_id = owner.upload(prose(3, seed=2))
    assert end_connections(engine) > 0
    ingest(file_id, gemini)
    owner.engine.dispose()  # it is a worker's as well
    file = owner.file(file_id)
    assert file is not None
    assert (file.status, file.attempt) == ("COMPLETED", 0)


def test_what_was_paid_for_during_a_restart_is_kept(
    gemini: Resources, emulator: GeminiEmulator, owner: Owner, engine: Engine
) -> None:
    embed = gemini.embedder.embed_documents
    ended = []

    def embed_while_the_database_restarts(texts: Sequence[str]) -> NDArray[np.float32]:
        vectors = embed(texts)
        ended.append(end_connections(engine))
        return vectors

    file_id = owner.upload(prose(300, seed=3))
    with mock.patch.object(gemini.embedder, "embed_documents", embed_while_the_database_restarts):
        ingest(file_id, gemini)
    owner.engine.dispose()
    file = owner.file(file_id)
    assert file is not None
    assert (file.status, file.attempt) == ("COMPLETED", 0)
    assert sum(ended) > 0
    assert set(emulator.stats()["text_sha256"].values()) == {1}


def test_a_database_that_stays_away_is_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, calls = [0.0], []

    def sleep(seconds: float) -> None:
        now[0] += seconds

    clock = SimpleNamespace(monotonic=lambda: now[0], sleep=sleep)
    monkeypatch.setattr("docmill_shared.database.time", clock)

    def refuse() -> None:
        calls.append(1)
        raise OperationalError("select 1", {}, Exception("connection refused"))

    with pytest.raises(OperationalError):
        outlast(refuse, seconds=30)
    assert 30 < now[0] < 35
    assert len(calls) > 2
