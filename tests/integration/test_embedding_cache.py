"""The embedding cache: found by the exact text, kept apart by model and task."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import numpy as np
from sqlalchemy import Connection, Engine, func, select, update

from docmill_shared import embedding_cache
from docmill_shared.schema import CachedEmbedding
from tests.integration.test_chunks import vectors

KEY = {"model": "m", "task_type": "RETRIEVAL_DOCUMENT"}


def digests(*texts: str) -> list[bytes]:
    return [embedding_cache.digest(text) for text in texts]


def test_what_was_remembered_is_found(engine: Engine) -> None:
    keys, given = digests("one", "two"), vectors(2)
    with engine.begin() as connection:
        embedding_cache.remember(connection, **KEY, digests=keys, vectors=given)
        found = embedding_cache.look_up(connection, **KEY, digests=[*keys, *digests("three")])
    assert set(found) == set(keys)
    for key, vector in zip(keys, given, strict=True):
        assert np.allclose(found[key], vector, atol=1e-3)
        assert found[key].dtype == np.float32


def test_another_model_or_task_is_another_embedding(engine: Engine) -> None:
    keys = digests("apart")
    with engine.begin() as connection:
        embedding_cache.remember(connection, **KEY, digests=keys, vectors=vectors(1))
        for other in ({**KEY, "model": "n"}, {**KEY, "task_type": "RETRIEVAL_QUERY"}):
            assert embedding_cache.look_up(connection, **other, digests=keys) == {}


def test_workers_may_remember_the_same_at_once(engine: Engine) -> None:
    keys, given = digests(*(f"text {n}" for n in range(100))), vectors(100)

    def remember(order: int) -> None:
        chosen = list(range(100))[::order]
        with engine.begin() as connection:
            embedding_cache.remember(
                connection, **KEY, digests=[keys[n] for n in chosen], vectors=given[chosen]
            )

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(remember, [1, -1, 1, -1]))
    with engine.begin() as connection:
        assert len(embedding_cache.look_up(connection, **KEY, digests=keys)) == 100


def test_a_use_is_noted_once_a_day(engine: Engine) -> None:
    fresh, old = digests("fresh", "old")
    with engine.begin() as connection:
        embedding_cache.remember(connection, **KEY, digests=[fresh, old], vectors=vectors(2))
        connection.execute(
            update(CachedEmbedding)
            .where(CachedEmbedding.text_sha256 == old)
            .values(last_used_at=func.now() - timedelta(days=2))
        )
        before = used(connection)
    with engine.begin() as connection:
        embedding_cache.look_up(connection, **KEY, digests=[fresh, old])
        after = used(connection)
    assert after[fresh] == before[fresh]
    assert after[old] - before[old] > timedelta(days=1)


def used(connection: Connection) -> dict[bytes, datetime]:
    rows = connection.execute(select(CachedEmbedding.text_sha256, CachedEmbedding.last_used_at))
    return {row.text_sha256: row.last_used_at for row in rows}
