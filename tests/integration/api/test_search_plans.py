"""The plans of a search on tens of thousands of passages, as Postgres makes them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import Connection, text

from docmill_api.passages import Question, Scope, search, search_statement
from docmill_shared import chunks
from docmill_shared.chunks import ChunkSpool, Passage
from docmill_shared.row_security import transaction_of
from docmill_shared.schema import DIMENSIONS, Base
from docmill_shared.states import Visibility
from tests.integration.api.driver import Account, Api

OWNERS, EACH, PUBLIC, TOPICS = 20, 1_000, 6_000, 100


@pytest.fixture(scope="module")
def owners(api: Api, tmp_path_factory: pytest.TempPathFactory) -> list[Account]:
    """Twenty owners with a thousand private passages each, and one with six thousand public ones.

    The HNSW index is built after loading, which is much faster than row by row.
    """
    owners = [api.account() for _ in range(OWNERS)] + [api.account("contributor")]
    table = Base.metadata.tables["chunks"]
    (index,) = (each for each in table.indexes if each.name == "chunks_public_embedding")
    directory = tmp_path_factory.mktemp("spool")
    with api.owner.begin() as connection:
        connection.execute(text("set local statement_timeout = '5min'"))
        index.drop(connection)
        for number, owner in enumerate(owners):
            public = number == OWNERS
            visibility = Visibility.PUBLIC if public else Visibility.PRIVATE
            file_id = UUID(api.file_with_chunks(owner, [], visibility=visibility))
            count = PUBLIC if public else EACH
            vectors = _near(_centres(), count, seed=number)
            with ChunkSpool(file_id, owner.id, visibility, Path(directory)) as spool:
                spool.add([_passage(each) for each in range(count)], vectors)
                chunks.replace(connection, spool, visibility)
        index.create(connection)
    with api.owner.connect().execution_options(isolation_level="AUTOCOMMIT") as each:
        each.execute(text("vacuum analyze chunks"))
    return owners


def _centres() -> NDArray[np.float64]:
    return np.random.default_rng(0).standard_normal((TOPICS, DIMENSIONS))


def _near(centres: NDArray[np.float64], count: int, *, seed: int) -> NDArray[np.float32]:
    """Unit vectors around the centres, as embeddings of texts lie around topics."""
    random = np.random.default_rng(seed)
    made = centres[random.integers(0, len(centres), count)]
    made = made + 0.7 * random.standard_normal((count, DIMENSIONS))
    unit: NDArray[np.float32] = (made / np.linalg.norm(made, axis=1, keepdims=True)).astype("f4")
    return unit


def _passage(ordinal: int) -> Passage:
    words = f"common word{ordinal % 97} rare{ordinal}"
    return Passage(ordinal, words, 3, None, None, (), 0, len(words))


def question(owner: Account, vector: Any, **changes: Any) -> Question:
    fields: dict[str, Any] = {
        "caller_id": owner.id,
        "scope": Scope.ALL,
        "vector": vector.tolist(),
        "words": "What do rare5 and word7 mean?",
        "precise": False,
        "file_ids": None,
        "limit": 10,
    }
    return Question(**{**fields, **changes})


def indexes(connection: Connection, asked: Question) -> set[str]:
    """The indexes that the plan of this question reads, and "seq" for a scan of all chunks."""
    statement, parameters = search_statement(asked)
    plan = connection.execute(
        text(f"explain (format json) {statement.text}"), parameters
    ).scalar_one()
    found: set[str] = set()

    def walk(node: dict[str, Any]) -> None:
        if "Index Name" in node:
            found.add(node["Index Name"])
        if node["Node Type"] == "Seq Scan" and node.get("Relation Name") == "chunks":
            found.add("seq")
        for child in node.get("Plans", []):
            walk(child)

    walk((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"])
    return found


def vector(seed: int) -> Any:
    """A query about one of the topics."""
    return _near(_centres(), 1, seed=1_000 + seed)[0]


@pytest.fixture
def owner(owners: list[Account]) -> Account:
    """One of the twenty."""
    return owners[3]


@pytest.fixture
def connection(api: Api, owner: Account) -> Iterator[Connection]:
    """As the api asks for this owner: under row-level security."""
    with transaction_of(api.resources.engine, owner.id) as connection:
        yield connection


def test_each_leg_has_its_index(owner: Account, connection: Connection) -> None:
    used = indexes(connection, question(owner, vector(1), words=None, scope=Scope.MINE))
    assert "ix_chunks_owner_id" in used
    assert not used & {"seq", "chunks_public_embedding"}
    used = indexes(connection, question(owner, vector(1), words=None, scope=Scope.PUBLIC))
    assert "chunks_public_embedding" in used
    assert not used & {"seq", "ix_chunks_owner_id"}
    used = indexes(connection, question(owner, vector(1)))
    assert {"ix_chunks_owner_id", "chunks_public_embedding", "chunks_tsv"} <= used
    assert "seq" not in used


def test_within_named_files_no_approximate_index_is_used(
    owner: Account, connection: Connection
) -> None:
    used = indexes(connection, question(owner, vector(1), file_ids=[uuid4()]))
    assert not used & {"seq", "chunks_public_embedding"}


def test_own_passages_are_found_exactly_and_public_ones_nearly_so(
    api: Api, owner: Account, connection: Connection
) -> None:
    exact = (
        "select id from chunks where {} order by (embedding <=> cast(:vector as halfvec)) + 0, id"
        " limit 10"
    )
    for scope, condition, least in (
        (Scope.MINE, f"owner_id = '{owner.id}'", 1.0),
        (Scope.PUBLIC, "visibility = 'public'", 0.95),
    ):
        hits = 0
        for seed in range(20):
            asked = question(owner, vector(seed), words=None, scope=scope)
            # The same connection again and again, so that prepared statements are used as well.
            found = {row.id for row in search(connection, asked)}
            parameters = {"vector": search_statement(asked)[1]["vector"]}
            with api.owner.connect() as unbound:
                best = unbound.execute(text(exact.format(condition)), parameters).scalars().all()
            hits += len(found & set(best))
        assert hits / 200 >= least, scope
