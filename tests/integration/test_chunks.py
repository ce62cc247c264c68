"""What the binary COPY stores is what was given."""

from pathlib import Path
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine

from docmill_shared import chunks
from docmill_shared.chunks import ChunkSpool, Passage
from docmill_shared.states import Visibility
from tests.owners import Owner, new_owner

PASSAGES = [
    Passage(0, "plain", 1, 1, 1, ("Handbook",), 0, 5),
    Passage(1, "no pages, no headings", 4, None, None, (), 7, 28),
    Passage(
        2, 'naïve "quotes"\n\ttab, 한국어, \U0001f600', 9, 3, 4, ("A, b", '{"}', ""), 30, 2**40
    ),
]


def vectors(count: int, seed: int = 0) -> NDArray[np.float32]:
    values = np.random.default_rng(seed).normal(size=(count, 768)).astype(np.float32)
    unit: NDArray[np.float32] = values / np.linalg.norm(values, axis=1, keepdims=True)
    return unit


def some_file(engine: Engine) -> tuple[Owner, UUID]:
    owner = new_owner(engine, None)  # type: ignore[arg-type]
    return owner, owner.reserve("a.txt", 1)


def test_every_column_comes_back(engine: Engine, tmp_path: Path) -> None:
    owner, file_id = some_file(engine)
    given = vectors(len(PASSAGES))
    with ChunkSpool(file_id, owner.id, Visibility.PRIVATE, tmp_path) as spool:
        spool.add(PASSAGES[:1], given[:1])
        spool.add(PASSAGES[1:], given[1:])
        with engine.begin() as connection:
            chunks.replace(connection, spool, Visibility.PRIVATE)

    stored = owner.chunks(file_id)
    assert len(stored) == len(PASSAGES)
    for row, passage, vector in zip(stored, PASSAGES, given, strict=True):
        assert row["id"] == chunks.chunk_id(file_id, passage.ordinal, passage.text)
        assert (row["owner_id"], row["visibility"]) == (owner.id, "private")
        for column in ("ordinal", "text", "token_count", "page_start", "page_end"):
            assert row[column] == getattr(passage, column)
        assert row["heading_path"] == list(passage.heading_path)
        assert (row["char_start"], row["char_end"]) == (passage.char_start, passage.char_end)
        assert np.allclose(row["embedding"], vector, atol=1e-3)
    assert "'handbook'" not in str(stored[0]["tsv"])
    assert "'plain'" in str(stored[0]["tsv"])


def test_storing_again_replaces(engine: Engine, tmp_path: Path) -> None:
    owner, file_id = some_file(engine)
    for count in (3, 2):
        with (
            ChunkSpool(file_id, owner.id, Visibility.PRIVATE, tmp_path) as spool,
            engine.begin() as connection,
        ):
            spool.add(PASSAGES[:count], vectors(count))
            chunks.replace(connection, spool, Visibility.PUBLIC)
    stored = owner.chunks(file_id)
    assert [row["visibility"] for row in stored] == ["public", "public"]


def test_the_spool_leaves_no_file(engine: Engine, tmp_path: Path) -> None:
    owner, file_id = some_file(engine)
    with ChunkSpool(file_id, owner.id, Visibility.PRIVATE, tmp_path) as spool:
        spool.add(PASSAGES, vectors(len(PASSAGES)))
    assert list(tmp_path.iterdir()) == []


def test_the_same_input_gives_the_same_id(engine: Engine) -> None:
    _, file_id = some_file(engine)
    _, other = some_file(engine)
    assert chunks.chunk_id(file_id, 3, "text") == chunks.chunk_id(file_id, 3, "text")
    different = {
        chunks.chunk_id(file_id, 3, "text"),
        chunks.chunk_id(file_id, 4, "text"),
        chunks.chunk_id(file_id, 3, "Text"),
        chunks.chunk_id(other, 3, "text"),
    }
    assert len(different) == 4
