"""Abandoned files: many at a time as the janitor does it, and one by one, in the same run."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import urllib3
from sqlalchemy import text

from benchmarks.janitor.place import Place
from docmill_janitor.jobs import clean_abandoned_files
from docmill_shared.database import autocommit

#: Reserved three days ago; every second one was confirmed and FAILED.
_FILES = text("""
insert into files (id, owner_id, name, media_type, size_bytes, object_key, status,
                   failure_reason, created_at, queued_at, finished_at)
select id, owner, 'notes.txt', 'text/plain', 5, 'uploads/' || owner || '/' || id,
       case when failed then 'FAILED' else 'PENDING' end,
       case when failed then 'corrupt' end, at,
       case when failed then at end, case when failed then at end
from (select gen_random_uuid() id, users[1 + number % cardinality(users)] as owner,
             number % 2 = 1 failed, now() - interval '3 days' + number * interval '1 ms' as at
      from generate_series(cast(:first as int), cast(:last as int)) number,
           (select array_agg(id) users from (select id from users limit 500) few) everyone) made
""")
_KEYS = text("select id, object_key from files order by created_at")


@dataclass(frozen=True)
class Deleted:
    """How some files were deleted."""

    files: int
    seconds: float
    calls: int
    rows_left: int
    objects_left: int


@dataclass(frozen=True)
class SweptFiles:
    """The janitor's way, and one by one."""

    sweep: Deleted
    one_by_one: Deleted


def measure(place: Place, files: int, sample: int) -> SweptFiles:
    """First the sample one by one, then all others by the janitor's job."""
    _fill(place, sample)
    one_by_one = _measured(place, "one by one", sample, _one_by_one)
    _fill(place, files)
    return SweptFiles(_measured(place, "by the janitor", files, _sweep), one_by_one)


def _fill(place: Place, count: int) -> None:
    place.fill("abandoned files", _FILES, count)
    with (
        autocommit(place.resources.engine) as connection,
        place.progress("their objects", count) as advance,
    ):
        # Not uploaded but laid where the store keeps them, which it lists and deletes as any.
        for row in connection.execute(_KEYS):
            path = place.bucket / row.object_key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"hello")
            advance(1)
    place.settle("files")


def _measured(
    place: Place, way: str, count: int, delete: Callable[[Place, Callable[[int], None]], None]
) -> Deleted:
    with place.progress(way, count) as advance, _counted_calls() as calls:
        began = time.monotonic()
        delete(place, advance)
        seconds = time.monotonic() - began
    with autocommit(place.resources.engine) as connection:
        rows = connection.execute(text("select count(*) from files")).scalar_one()
    objects = sum(1 for _ in place.resources.objects.scan("uploads/"))
    return Deleted(count, seconds, calls[0], rows, objects)


def _sweep(place: Place, advance: Callable[[int], None]) -> None:
    resources, more = place.resources, True
    now = resources.now()
    while more:
        swept = clean_abandoned_files.run(resources, now=now, limit=resources.settings.sweep_rows)
        more = swept.more
        advance(swept.counts["pending"] + swept.counts["failed"])


def _one_by_one(place: Place, advance: Callable[[int], None]) -> None:
    """As the seed does it: for each file its object, then its row."""
    with autocommit(place.resources.engine) as connection:
        for row in connection.execute(_KEYS).all():
            place.resources.objects.delete_many([row.object_key])
            connection.execute(text("delete from files where id = :id"), {"id": row.id})
            advance(1)


@contextmanager
def _counted_calls() -> Iterator[list[int]]:
    """HTTP requests that this process makes, in a list of one; only the store gets any."""
    calls = [0]
    urlopen = urllib3.PoolManager.urlopen

    def counted(self: Any, *arguments: Any, **options: Any) -> Any:
        calls[0] += 1
        return urlopen(self, *arguments, **options)

    with mock.patch.object(urllib3.PoolManager, "urlopen", counted):
        yield calls
