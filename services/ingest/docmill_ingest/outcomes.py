"""How an attempt at a file ends, other than well: one place that maps errors to states."""

import random
from datetime import timedelta
from uuid import UUID

from sqlalchemy.exc import OperationalError

from docmill_ingest import metrics
from docmill_ingest.leases import ShuttingDown
from docmill_ingest.resources import Resources
from docmill_shared.database import autocommit
from docmill_shared.errors import (
    ConfigurationError,
    DocmillError,
    LeaseLost,
    ObjectMissing,
    PermanentError,
    RateLimited,
    StorageUnavailable,
)
from docmill_shared.files import claims
from docmill_shared.files.claims import Claim
from docmill_shared.observability import get_logger
from docmill_shared.states import FailureReason, FileStatus

_log = get_logger(__name__)

#: When a provider names no time to wait, and the longest that is waited at once.
DEFAULT_QUOTA_WAIT = timedelta(seconds=20)
LONGEST_WAIT = timedelta(minutes=15)
#: How long a file waits for an operator to mend the configuration.
OPERATOR_WAIT = timedelta(minutes=1)
#: The files that wait for a new day come over this time, not all at midnight.
TOMORROW_SPREAD_SECONDS = 60.0


class Duplicate(DocmillError):
    """The owner already has this content, as the COMPLETED file ``twin``."""

    def __init__(self, twin: UUID, sha256: bytes) -> None:
        super().__init__(f"The same content as file {twin}.")
        self.twin = twin
        self.sha256 = sha256


class DailyTokensUsed(DocmillError):
    """The owner's tokens of today are used up; the file waits for tomorrow's."""


def settle(claim: Claim, error: Exception, resources: Resources) -> FileStatus | None:
    """Write what this error means for the file; return its status, None if its row is gone.

    Raises:
        LeaseLost: it is no longer this worker's to say.
        sqlalchemy.exc.OperationalError: the database is away; nothing was written.
    """
    match error:
        case LeaseLost():
            raise error
        case ShuttingDown():
            _log.info("released for another worker", file_id=str(claim.file_id))
            return _retry(claim, resources, None, "released")
        case ObjectMissing():
            with autocommit(resources.engine) as connection:
                claims.forget(connection, claim)
            metrics.FILES.labels("nothing_uploaded", "").inc()
            _log.warning("nothing was uploaded, reservation deleted", file_id=str(claim.file_id))
            return None
        case Duplicate():
            return _duplicate(claim, error, resources)
        case DailyTokensUsed():
            return _wait_for_tomorrow(claim, resources)
        case PermanentError():
            return _fail(claim, resources, error.reason, error.detail)
        case RateLimited():
            wait = DEFAULT_QUOTA_WAIT
            if error.retry_after is not None:
                wait = timedelta(seconds=error.retry_after)
            return _wait(claim, resources, wait, "The provider's quota was used up")
        case ConfigurationError():
            # The file is not at fault and the owner can do nothing: it waits for the operator.
            _log.error("the provider refuses this configuration", error=str(error))
            return _wait(claim, resources, OPERATOR_WAIT, "The embedding provider was not usable")
        case _:
            return _failed_attempt(claim, error, resources)


def retry_delay(attempt: int, base_seconds: float) -> timedelta:
    """Exponential backoff with full jitter in its upper half: base x 2^attempt x [0.5, 1)."""
    seconds = base_seconds * 2**attempt * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
    return min(timedelta(seconds=seconds), LONGEST_WAIT)


def _duplicate(claim: Claim, error: Duplicate, resources: Resources) -> FileStatus:
    with autocommit(resources.engine) as connection:
        claims.mark_duplicate(connection, claim, error.sha256, error.twin)
        # The row first: should the process die here, the janitor finds a DUPLICATE whose object
        # is not marked as deleted and deletes it.
        try:
            left = resources.objects.delete_many([claim.object_key])
        except StorageUnavailable:
            left = [claim.object_key]
        if not left:
            claims.mark_object_deleted(connection, claim.file_id)
    metrics.FILES.labels("duplicate", "").inc()
    _log.info("duplicate", file_id=str(claim.file_id), duplicate_of=str(error.twin))
    return FileStatus.DUPLICATE


def _fail(
    claim: Claim,
    resources: Resources,
    reason: FailureReason,
    detail: str,
    attempt_error: str | None = None,
) -> FileStatus:
    with autocommit(resources.engine) as connection:
        claims.fail(connection, claim, reason, detail, attempt_error=attempt_error)
    metrics.FILES.labels("failed", str(reason)).inc()
    _log.warning("failed", file_id=str(claim.file_id), reason=str(reason), detail=detail)
    return FileStatus.FAILED


def _wait(claim: Claim, resources: Resources, wait: timedelta, why: str) -> FileStatus:
    """Back to the queue without counting an attempt, but not for ever."""
    patience = timedelta(hours=resources.settings.quota_patience_hours)
    if claim.waiting > patience:
        detail = f"{why} for {patience.total_seconds() / 3600:g} hours. Try again later."
        return _fail(claim, resources, FailureReason.RETRIES_EXHAUSTED, detail)
    # A little later than asked, and not all files at the same moment.
    wait = min(wait, LONGEST_WAIT) + timedelta(seconds=random.uniform(0, 2))  # noqa: S311
    _log.info("waits", file_id=str(claim.file_id), why=why, seconds=round(wait.total_seconds(), 1))
    return _retry(claim, resources, wait, "waits")


def _wait_for_tomorrow(claim: Claim, resources: Resources) -> FileStatus:
    """Back to the queue until the next day in UTC begins; no attempt, however often."""
    later = timedelta(seconds=random.uniform(0, TOMORROW_SPREAD_SECONDS))  # noqa: S311
    with autocommit(resources.engine) as connection:
        claims.wait_for_tomorrow(connection, claim, later)
    metrics.FILES.labels("waits", "").inc()
    _log.info("waits", file_id=str(claim.file_id), why="the owner's tokens of today are used up")
    return FileStatus.QUEUED


def _failed_attempt(claim: Claim, error: Exception, resources: Resources) -> FileStatus:
    """Count the attempt; after the last one the file has FAILED."""
    match error:
        case DocmillError():
            why, exhausted = str(error), FailureReason.RETRIES_EXHAUSTED
        case OperationalError():  # a restart, a lost connection, a deadlock
            why, exhausted = "The database was away.", FailureReason.RETRIES_EXHAUSTED
        case _:
            _log.error("unexpected error", file_id=str(claim.file_id), exc_info=error)
            why = "An unexpected error; the operator finds it in the log."
            exhausted = FailureReason.INTERNAL
    attempts = claim.attempt + 1
    if attempts >= resources.settings.max_attempts:
        return _fail(claim, resources, exhausted, f"Gave up after {attempts} attempts. {why}", why)
    delay = retry_delay(claim.attempt, resources.settings.retry_seconds)
    _log.warning(
        "attempt failed, will be retried",
        file_id=str(claim.file_id),
        attempt=attempts,
        seconds=round(delay.total_seconds(), 1),
        why=why,
    )
    return _retry(claim, resources, delay, "retried", attempt_error=why)


def _retry(
    claim: Claim,
    resources: Resources,
    delay: timedelta | None,
    outcome: str,
    attempt_error: str | None = None,
) -> FileStatus:
    with autocommit(resources.engine) as connection:
        claims.retry_later(connection, claim, delay, attempt_error=attempt_error)
    metrics.FILES.labels(outcome, "").inc()
    return FileStatus.QUEUED
