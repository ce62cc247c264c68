"""Finish deletions that were interrupted: DELETING files, and the objects of duplicates."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from docmill_janitor.deletions import finish
from docmill_janitor.resources import Resources
from docmill_janitor.swept import Swept
from docmill_shared import job_schedule
from docmill_shared.database import autocommit
from docmill_shared.files import deletions
from docmill_shared.files.deletions import Unfinished
from docmill_shared.states import FileStatus

_JOB = "finish_deletions"


def run(resources: Resources, *, now: datetime, limit: int, dry_run: bool = False) -> Swept:
    """Finish up to ``limit`` files, from where the last sweep stopped.

    The place is noted before the store is asked: objects that it refuses again and again hold up
    nothing behind them, and come round again after all others. Files that a request is just
    deleting are among these; both do the same, and one of them counts it.
    """
    with autocommit(resources.engine) as connection:
        place = None if dry_run else job_schedule.bookmark(connection, _JOB)
        files = deletions.unfinished(connection, after=_parsed(place), limit=limit)
        more = len(files) == limit
        if dry_run:
            findings = tuple(map(_finding, files))
            return Swept(_counts(files, {each.file_id for each in files}, 0), more, findings)
        job_schedule.set_bookmark(connection, _JOB, _place(files[-1]) if more else None)
    finished = finish(resources, files, now=now)
    return Swept(
        _counts(files, finished.gone, finished.kept),
        more=more and not finished.away,
    )


def _counts(files: list[Unfinished], gone: Collection[UUID], kept: int) -> dict[str, int]:
    duplicates = sum(each.status == FileStatus.DUPLICATE for each in files if each.file_id in gone)
    return {"deleted": len(gone) - duplicates, "duplicates": duplicates, "kept": kept}


def _finding(file: Unfinished) -> str:
    if file.status == FileStatus.DUPLICATE:
        return f"delete the object of file {file.file_id} (DUPLICATE)"
    return f"delete file {file.file_id} (DELETING)"


def _place(file: Unfinished) -> str:
    return f"{file.created_at.isoformat()} {file.file_id}"


def _parsed(place: str | None) -> tuple[datetime, UUID] | None:
    if place is None:
        return None
    created_at, file_id = place.split(" ")
    return datetime.fromisoformat(created_at), UUID(file_id)
