"""The embedding_cache table: what was paid for once is not paid for again.

It is also the checkpoint of a long file: a worker that is killed after 9,000 of 10,000 chunks
finds 9,000 of them here the next time.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ARRAY, Connection, LargeBinary, any_, bindparam, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from docmill_shared.schema import DIMENSIONS, CachedEmbedding

#: ``last_used_at`` is exact to a day: noting every use would turn each look-up into a write.
_TOUCH_AFTER = timedelta(days=1)

_FORGET = text("""
delete from embedding_cache where ctid = any(array(
    select ctid from embedding_cache
    where cast(:before as timestamptz) is null or last_used_at < :before
    order by last_used_at limit :limit for update skip locked
))
""")
_ANALYZE = text("analyze embedding_cache")
_ESTIMATE = text("select reltuples from pg_class where oid = 'embedding_cache'::regclass")


def digest(text: str) -> bytes:
    """The key of a text: the SHA-256 of exactly what is sent to the provider."""
    return hashlib.sha256(text.encode()).digest()


def look_up(
    connection: Connection, *, model: str, task_type: str, digests: Sequence[bytes]
) -> dict[bytes, NDArray[np.float32]]:
    """The embeddings that are known, by digest, each of shape (768,); one round trip."""
    wanted = (
        CachedEmbedding.model == model,
        CachedEmbedding.dimensions == DIMENSIONS,
        CachedEmbedding.task_type == task_type,
        CachedEmbedding.text_sha256
        == any_(bindparam("digests", list(digests), type_=ARRAY(LargeBinary))),
    )
    touched = (
        update(CachedEmbedding)
        .where(
            *wanted,
            CachedEmbedding.last_used_at < func.now() - _TOUCH_AFTER,
        )
        .values(last_used_at=func.now())
        .cte("touched")
    )
    rows = connection.execute(
        select(CachedEmbedding.text_sha256, CachedEmbedding.embedding)
        .where(*wanted)
        .add_cte(touched)
    )
    return {row.text_sha256: np.asarray(row.embedding, dtype=np.float32) for row in rows}


def remember(
    connection: Connection,
    *,
    model: str,
    task_type: str,
    digests: Sequence[bytes],
    vectors: NDArray[np.float32],
) -> None:
    """Keep embeddings, ``vectors`` of shape (len(digests), 768); one round trip."""
    rows = [
        {
            "model": model,
            "dimensions": DIMENSIONS,
            "task_type": task_type,
            "text_sha256": key,
            "embedding": vector,
        }
        # Sorted, so that two workers that insert the same keys lock them in the same order.
        for key, vector in sorted(
            dict(zip(digests, vectors, strict=True)).items(), key=lambda item: item[0]
        )
    ]
    if rows:
        connection.execute(insert(CachedEmbedding).on_conflict_do_nothing(), rows)


def delete_unused(connection: Connection, *, now: datetime, age: timedelta, limit: int) -> int:
    """Forget up to ``limit`` embeddings that were not used for ``age``; return how many."""
    return connection.execute(_FORGET, {"before": now - age, "limit": limit}).rowcount


def delete_surplus(connection: Connection, *, keep: int, limit: int) -> int:
    """Forget up to ``limit`` of the longest unused while there are more than ``keep``.

    The count is the planner's: an exact one would read a table of gigabytes. Where it says that
    there are too many it is brought up to date first, which reads a sample; it knows nothing of
    what the last sweep deleted, and would have the next ones delete it all again.
    """
    if _estimated(connection) <= keep:
        return 0
    connection.execute(_ANALYZE)
    surplus = min(_estimated(connection) - keep, limit)
    if surplus <= 0:
        return 0
    return connection.execute(_FORGET, {"before": None, "limit": surplus}).rowcount


def _estimated(connection: Connection) -> int:
    return int(connection.execute(_ESTIMATE).scalar_one())
