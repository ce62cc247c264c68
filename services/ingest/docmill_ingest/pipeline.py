"""The pipeline: one file, from its claim to its end.

The seed of this design had eight steps: fetch, hash, dedupe, extract, chunk, embed, store,
complete. Two of them happen inside another: the hash is taken while the bytes pass by (fetch),
and COMPLETED is set in the transaction that stores the chunks (store).
"""

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from uuid import UUID

from sqlalchemy.exc import OperationalError, SQLAlchemyError
from structlog.contextvars import bound_contextvars

from docmill_ingest import metrics
from docmill_ingest.outcomes import settle
from docmill_ingest.resources import Resources
from docmill_ingest.stages import chunk, dedupe, embed, extract, fetch, store
from docmill_ingest.work import Progress, Work
from docmill_shared.database import autocommit, outlast
from docmill_shared.errors import LeaseLost
from docmill_shared.files import claims, watching
from docmill_shared.files.claims import Claim
from docmill_shared.observability import get_logger
from docmill_shared.progress import FileProgress
from docmill_shared.states import FileStatus

_log = get_logger(__name__)

Stage = Callable[[Work, Resources], None]
#: Each in a module of its own, which names it in the metrics.
STAGES: tuple[Stage, ...] = (
    fetch.run,
    dedupe.run,
    extract.run,
    chunk.run,
    embed.run,
    store.run,
)


def ingest(file_id: UUID, resources: Resources) -> None:
    """Claim the file if it is due and take it to its end; otherwise do nothing.

    Whatever goes wrong with the file ends in its row. An error leaves this function only when
    the row could not be written, and then the lease runs out and the file is queued again.
    """
    with bound_contextvars(file_id=str(file_id)):
        claim = outlast(
            partial(_claim, file_id, resources), seconds=resources.settings.lease_seconds
        )
        if claim is None:
            _log.debug("not due")
            return
        with bound_contextvars(owner_id=str(claim.owner_id), attempt=claim.attempt + 1):
            _attempt(claim, resources)


def _attempt(claim: Claim, resources: Resources) -> None:
    started = time.monotonic()
    with (
        resources.leases.hold(claim) as lease,
        tempfile.TemporaryDirectory(dir=resources.work_folder.path) as directory,
    ):
        work = Work(claim, lease, Path(directory), Progress(claim))
        work.progress.publish(resources, FileStatus.PROCESSING)
        try:
            for stage in STAGES:
                with work.clock.at(stage.__module__.rpartition(".")[2]):
                    stage(work, resources)
        except Exception as error:  # noqa: BLE001 - settle gives every error its place
            _count_tokens(work, resources)
            _settle(work, error, resources)
            return
        finally:
            for name, seconds in work.clock.seconds.items():
                metrics.STAGE_SECONDS.labels(name).observe(seconds)
    _completed(work, time.monotonic() - started, resources)


def _count_tokens(work: Work, resources: Resources) -> None:
    """Of a file that did not complete: what was embedded counts as well."""
    try:
        work.count_tokens(resources, at_once=True)
    except SQLAlchemyError as error:
        _log.warning("tokens not counted", error=type(error).__name__)


def _completed(work: Work, seconds: float, resources: Resources) -> None:
    progress = work.progress
    progress.publish(resources, FileStatus.COMPLETED)
    metrics.FILES.labels("completed", "").inc()
    metrics.FILE_SECONDS.observe(seconds)
    metrics.PAGES.inc(progress.page_count or 0)
    metrics.CHUNKS.inc(progress.chunks_done)
    _log.info(
        "completed",
        pages=progress.page_count,
        chunks=progress.chunks_done,
        seconds=round(seconds, 3),
    )


def _claim(file_id: UUID, resources: Resources) -> Claim | None:
    with autocommit(resources.engine) as connection:
        return claims.claim(connection, file_id, resources.settings.lease)


def _settle(work: Work, error: Exception, resources: Resources) -> None:
    """Write the outcome, also if the database comes back only after a while.

    Not longer than the lease: after that the file is queued again without us.
    """
    try:
        status = outlast(
            partial(settle, work.claim, error, resources),
            seconds=resources.settings.lease_seconds,
        )
    except LeaseLost:
        metrics.FILES.labels("lease_lost", "").inc()
        _log.info("lease lost, stopped")
        return
    _tell_outcome(work.claim, status, resources)


def _tell_outcome(claim: Claim, status: FileStatus | None, resources: Resources) -> None:
    """Tell whoever watches what the row says; of a row that is gone, that the file is."""
    file = FileProgress(claim.file_id, FileStatus.DELETING)
    if status is not None:
        try:
            with autocommit(resources.engine) as connection:
                found = watching.look(connection, claim.owner_id, [claim.file_id])
        except OperationalError:
            return  # whoever watches reads the row as well, a little later
        file = found.get(claim.file_id, file)
    resources.progress.tell(claim.owner_id, file)
