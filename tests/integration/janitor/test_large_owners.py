"""promote_large_owners: indexes of large owners come, are used, and go."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from sqlalchemy import text, update
from sqlalchemy.exc import OperationalError

from docmill_api.passages import Question, Scope
from docmill_janitor.jobs import promote_large_owners
from docmill_janitor.resources import Resources
from docmill_shared import chunks, owner_indexes
from docmill_shared.chunks import ChunkSpool, Passage
from docmill_shared.database import autocommit
from docmill_shared.owner_indexes import OwnerIndex
from docmill_shared.schema import File
from docmill_shared.states import Visibility
from tests.integration.api.test_search_plans import indexes
from tests.integration.janitor.conftest import Build
from tests.integration.janitor.file_states import S, add_file, forget_all_files
from tests.integration.test_chunks import vectors
from tests.owners import Owner, new_owner

LARGE = 3_000
NONE = {"promoted": 0, "dropped": 0}
PROMOTED = {"promoted": 1, "dropped": 0}
DROPPED = {"promoted": 0, "dropped": 1}

AddOwner = Callable[[int], Owner]


@pytest.fixture
def resources(build: Build) -> Resources:
    """With the smallest threshold there is, and no index of an owner."""
    resources = build(PROMOTE_ABOVE_CHUNKS="1000")
    forget_all_files(resources.engine)
    with autocommit(resources.engine) as connection:
        for index in owner_indexes.existing(connection):
            owner_indexes.drop(connection, index.owner_id)
    return resources


@pytest.fixture
def add_owner(resources: Resources, tmp_path: Path) -> AddOwner:
    """``add_owner(passages)``: an owner of one COMPLETED file that really has that many."""

    def add(count: int) -> Owner:
        owner = new_owner(resources.engine, resources.objects)
        file_id = add_file(owner, S.COMPLETED, resources.now(), stored=False, chunk_count=count)
        passages = [
            Passage(number, f"word{number}", 1, None, None, (), 0, 5) for number in range(count)
        ]
        with (
            resources.engine.begin() as connection,
            ChunkSpool(file_id, owner.id, Visibility.PRIVATE, tmp_path) as spool,
        ):
            spool.add(passages, vectors(count))
            chunks.replace(connection, spool, Visibility.PRIVATE)
        return owner

    return add


def claims(owner: Owner, passages: int) -> None:
    """The owner's files are said to have this many passages together."""
    with owner.engine.begin() as connection:
        connection.execute(
            update(File).where(File.owner_id == owner.id).values(chunk_count=passages)
        )


def existing(resources: Resources) -> dict[UUID, bool]:
    with autocommit(resources.engine) as connection:
        return {index.owner_id: index.valid for index in owner_indexes.existing(connection)}


def sweep(resources: Resources, *, dry_run: bool = False) -> dict[str, int]:
    return promote_large_owners.run(resources, now=resources.now(), limit=1, dry_run=dry_run).counts


def used_by_search(resources: Resources, owner: Owner) -> set[str]:
    """The indexes that the plan of a search in the owner's own passages reads."""
    vector = (np.ones(768) / np.sqrt(768)).tolist()
    asked = Question(owner.id, Scope.MINE, vector, None, False, None, 10)
    with resources.engine.connect() as connection:
        return indexes(connection, asked)


def test_a_large_owner_gets_an_index_that_their_search_uses(
    resources: Resources, add_owner: AddOwner
) -> None:
    large, small = add_owner(LARGE), add_owner(200)
    with autocommit(resources.engine) as connection:
        connection.execute(text("analyze chunks"))
    name = f"chunks_embedding_of_{large.id.hex}"
    assert name not in used_by_search(resources, large)
    assert sweep(resources) == PROMOTED
    assert existing(resources) == {large.id: True}
    assert name in used_by_search(resources, large)
    assert name not in used_by_search(resources, small)
    assert "ix_chunks_owner_id" in used_by_search(resources, small)
    assert sweep(resources) == NONE


@pytest.mark.parametrize(
    ("passages", "promoted"), [(1_000, False), (1_001, True)], ids=["at", "above"]
)
def test_the_threshold_itself_is_not_above_it(
    resources: Resources, add_owner: AddOwner, passages: int, promoted: bool
) -> None:
    claims(add_owner(10), passages)
    assert sweep(resources) == (PROMOTED if promoted else NONE)


def test_the_index_goes_below_half_of_the_threshold(
    resources: Resources, add_owner: AddOwner
) -> None:
    owner = add_owner(10)
    claims(owner, 1_001)
    assert sweep(resources) == PROMOTED
    claims(owner, 501)
    assert sweep(resources) == NONE
    claims(owner, 500)
    assert sweep(resources) == DROPPED
    assert existing(resources) == {}


def test_the_largest_comes_first_and_one_a_sweep(resources: Resources, add_owner: AddOwner) -> None:
    owners = [add_owner(10) for _ in range(3)]
    for owner, passages in zip(owners, (1_500, 3_000, 2_000), strict=True):
        claims(owner, passages)
    found = []
    for more in (True, True, False):
        before = existing(resources)
        swept = promote_large_owners.run(resources, now=resources.now(), limit=1)
        assert swept.more is more
        found += list(existing(resources).keys() - before.keys())
    assert found == [owners[1].id, owners[2].id, owners[0].id]


def broken_index(resources: Resources, owner: Owner) -> None:
    """What a build leaves that was broken off: it waited for a transaction that writes chunks."""
    left = [OwnerIndex(owner.id, valid=False)]
    deadline = time.monotonic() + 60
    with (
        resources.engine.connect() as writer,
        autocommit(resources.engine) as building,
        autocommit(resources.engine) as connection,
        ThreadPoolExecutor(1) as pool,
    ):
        writer.execute(text("update chunks set ordinal = ordinal where false"))
        session = building.execute(text("select pg_backend_pid()")).scalar_one()
        build = pool.submit(owner_indexes.build, building, owner.id)
        while owner_indexes.existing(connection) != left and not build.done():
            assert time.monotonic() < deadline, "the build does not begin"
            time.sleep(0.01)
        connection.execute(text("select pg_cancel_backend(:session)"), {"session": session})
        with pytest.raises(OperationalError):
            build.result(60)
        assert owner_indexes.existing(connection) == left


def test_an_index_that_is_not_valid_is_dropped_and_built_again(
    resources: Resources, add_owner: AddOwner
) -> None:
    owner = add_owner(10)
    claims(owner, 2_000)
    broken_index(resources, owner)
    assert sweep(resources) == DROPPED
    assert existing(resources) == {}
    assert sweep(resources) == PROMOTED
    assert existing(resources) == {owner.id: True}


def test_a_dry_run_lists_and_changes_nothing(resources: Resources, add_owner: AddOwner) -> None:
    shrunk, grown = add_owner(10), add_owner(10)
    claims(shrunk, 2_000)
    assert sweep(resources) == PROMOTED
    claims(shrunk, 10)
    claims(grown, 2_000)
    swept = promote_large_owners.run(resources, now=resources.now(), limit=1, dry_run=True)
    assert swept.counts == {"promoted": 1, "dropped": 1}
    assert swept.findings == (
        f"drop the index of owner {shrunk.id}",
        f"build an index for owner {grown.id}: 2,000 passages",
    )
    assert existing(resources) == {shrunk.id: True}


def test_two_sweeps_at_once_build_one_index(resources: Resources, add_owner: AddOwner) -> None:
    owner = add_owner(500)
    claims(owner, 2_000)
    with ThreadPoolExecutor(2) as pool:
        counts = list(pool.map(lambda _: sweep(resources), range(2)))
    assert sum(each["promoted"] for each in counts) == 1
    assert existing(resources) == {owner.id: True}
