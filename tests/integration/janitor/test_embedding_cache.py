"""trim_embedding_cache, with the clock in the test's hand."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import delete, func, select, text, update

from docmill_janitor import runner
from docmill_janitor.jobs import trim_embedding_cache
from docmill_janitor.resources import Resources
from docmill_janitor.schedule import schedule
from docmill_shared import embedding_cache
from docmill_shared.database import autocommit
from docmill_shared.schema import CachedEmbedding
from tests.integration.janitor.conftest import Build
from tests.integration.test_chunks import vectors

KEY = {"model": "m", "task_type": "RETRIEVAL_DOCUMENT"}
AGE = timedelta(days=90)
MOMENT = timedelta(microseconds=1)


@pytest.fixture(autouse=True)
def an_empty_cache(resources: Resources) -> None:
    with resources.engine.begin() as connection:
        connection.execute(delete(CachedEmbedding))


def remember(resources: Resources, *last_used: datetime) -> list[bytes]:
    """An embedding for each of these times, last used then."""
    digests = [embedding_cache.digest(f"text {number}") for number in range(len(last_used))]
    with resources.engine.begin() as connection:
        embedding_cache.remember(
            connection, **KEY, digests=digests, vectors=vectors(len(last_used))
        )
        for digest, at in zip(digests, last_used, strict=True):
            connection.execute(
                update(CachedEmbedding)
                .where(CachedEmbedding.text_sha256 == digest)
                .values(last_used_at=at)
            )
    with autocommit(resources.engine) as connection:
        connection.execute(text("analyze embedding_cache"))
    return digests


def known(resources: Resources) -> set[bytes]:
    with resources.engine.connect() as connection:
        return set(connection.execute(select(CachedEmbedding.text_sha256)).scalars())


def test_what_was_not_used_for_too_long_goes_at_the_boundary(resources: Resources) -> None:
    now = resources.now()
    old, at_the_boundary, fresh = remember(resources, now - AGE - MOMENT, now - AGE, now)
    swept = trim_embedding_cache.run(resources, now=now, limit=100)
    assert swept.counts == {"unused": 1, "surplus": 0}
    assert not swept.more
    assert known(resources) == {at_the_boundary, fresh}
    assert old not in known(resources)


def test_the_longest_unused_of_too_many_go(build: Build) -> None:
    resources = build(EMBEDDING_CACHE_ROWS="3")
    now = resources.now()
    digests = remember(resources, *(now - timedelta(days=days) for days in (1, 5, 3, 4, 2)))
    swept = trim_embedding_cache.run(resources, now=now, limit=100)
    assert swept.counts == {"unused": 0, "surplus": 2}
    assert known(resources) == {digests[0], digests[4], digests[2]}
    assert trim_embedding_cache.run(resources, now=now, limit=100).idle


def test_exactly_as_many_as_are_kept_are_not_too_many(build: Build) -> None:
    resources = build(EMBEDDING_CACHE_ROWS="3")
    now = resources.now()
    digests = remember(resources, now, now, now)
    assert trim_embedding_cache.run(resources, now=now, limit=100).idle
    assert known(resources) == {*digests}


def test_a_run_of_many_sweeps_stops_at_what_is_kept(build: Build) -> None:
    """The planner's count is as old as the last ANALYZE, and must not be taken for the present."""
    resources = build(EMBEDDING_CACHE_ROWS="20", SWEEP_ROWS="5")
    now = resources.now()
    remember(resources, *(now - timedelta(minutes=each) for each in range(40)))
    job = next(job for job in schedule(resources.settings) if job.name == "trim_embedding_cache")
    swept = runner.run(job, now, resources)
    assert swept.counts == {"unused": 0, "surplus": 20}
    with resources.engine.connect() as connection:
        left = select(func.count()).select_from(CachedEmbedding)
        assert connection.execute(left).scalar_one() == 20


def test_a_sweep_is_bounded_over_both_kinds(build: Build) -> None:
    resources = build(EMBEDDING_CACHE_ROWS="2")
    now = resources.now()
    remember(resources, now - 2 * AGE, now - 2 * AGE, now, now, now)
    sweeps = [trim_embedding_cache.run(resources, now=now, limit=2) for _ in range(3)]
    assert [each.counts for each in sweeps] == [
        {"unused": 2, "surplus": 0},
        {"unused": 0, "surplus": 1},
        {"unused": 0, "surplus": 0},
    ]
    assert [each.more for each in sweeps] == [True, False, False]


def test_a_dry_run_counts_and_changes_nothing(build: Build) -> None:
    resources = build(EMBEDDING_CACHE_ROWS="2")
    now = resources.now()
    digests = remember(resources, now - 2 * AGE, now, now, now)
    swept = trim_embedding_cache.run(resources, now=now, limit=100, dry_run=True)
    assert swept.counts == {"unused": 1, "surplus": 1}
    assert known(resources) == {*digests}
