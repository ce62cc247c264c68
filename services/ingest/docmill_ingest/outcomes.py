"""How an attempt at a file ends, other than well: one place that maps errors to states."""

import random
from datetime import timedelta
from uuid import UUID

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
from docmill_shared.states import FailureReason

_log = get_logger(__name__)

#: When a provider names no time to wait, and the longest that is waited at once.
DEFAULT_QUOTA_WAIT = timedelta(seconds=20)
LONGEST_WAIT = timedelta(minutes=15)
#: How long a file waits for an operator to mend the configuration.
OPERATOR_WAIT = timedelta(minutes=1)


class Duplicate(DocmillError):
    """The owner already has this content, as the COMPLETED file ``twin``."""

    def __init__(self, twin: UUID, sha256: bytes) -> None:
        super().__init__(f"The same content as file {twin}.")
        self.twin = twin
        self.sha256 = sha256


def settle(claim: Claim, error: Exception, resources: Resources) -> None:
    """Write what this error means for the file.

    Raises:
        LeaseLost: it is no longer this worker's to say.
    """
    match error:
        case LeaseLost():
            _log.info("lease lost, stopped", file_id=str(claim.file_id))
        case ShuttingDown():
            _retry(claim, resources, timedelta(0), counts_as_attempt=False)
            _log.info("released for another worker", file_id=str(claim.file_id))
        case ObjectMissing():
            with autocommit(resources.engine) as connection:
                claims.forget(connection, claim)
            _log.warning("nothing was uploaded, reservation deleted", file_id=str(claim.file_id))
        case Duplicate():
            _duplicate(claim, error, resources)
        case PermanentError():
            _fail(claim, resources, error.reason, error.detail)
        case RateLimited():
            wait = DEFAULT_QUOTA_WAIT
            if error.retry_after is not None:
                wait = timedelta(seconds=error.retry_after)
            _wait(claim, resources, wait, "The provider's quota was used up")
        case ConfigurationError():
            # The file is not at fault and the owner can do nothing: it waits for the operator.
            _log.error("the provider refuses this configuration", error=str(error))
            _wait(claim, resources, OPERATOR_WAIT, "The embedding provider was not usable")
        case _:
            _failed_attempt(claim, error, resources)


def retry_delay(attempt: int, base_seconds: float) -> timedelta:
    """Exponential backoff with full jitter in its upper half: base x 2^attempt x [0.5, 1)."""
    seconds = base_seconds * 2**attempt * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
    return min(timedelta(seconds=seconds), LONGEST_WAIT)


def _duplicate(claim: Claim, error: Duplicate, resources: Resources) -> None:
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
    _log.info("duplicate", file_id=str(claim.file_id), duplicate_of=str(error.twin))


def _fail(claim: Claim, resources: Resources, reason: FailureReason, detail: str) -> None:
    with autocommit(resources.engine) as connection:
        claims.fail(connection, claim, reason, detail)
    _log.warning("failed", file_id=str(claim.file_id), reason=str(reason), detail=detail)


def _wait(claim: Claim, resources: Resources, wait: timedelta, why: str) -> None:
    """Back to the queue without counting an attempt, but not for ever."""
    patience = timedelta(hours=resources.settings.quota_patience_hours)
    if claim.waiting > patience:
        detail = f"{why} for {patience.total_seconds() / 3600:g} hours. Try again later."
        _fail(claim, resources, FailureReason.RETRIES_EXHAUSTED, detail)
        return
    # A little later than asked, and not all files at the same moment.
    wait = min(wait, LONGEST_WAIT) + timedelta(seconds=random.uniform(0, 2))  # noqa: S311
    _retry(claim, resources, wait, counts_as_attempt=False)
    _log.info("waits", file_id=str(claim.file_id), why=why, seconds=round(wait.total_seconds(), 1))


def _failed_attempt(claim: Claim, error: Exception, resources: Resources) -> None:
    expected = isinstance(error, DocmillError)
    attempts = claim.attempt + 1
    if attempts >= resources.settings.max_attempts:
        why = str(error) if expected else "An unexpected error; the operator finds it in the log."
        _fail(
            claim,
            resources,
            FailureReason.RETRIES_EXHAUSTED if expected else FailureReason.INTERNAL,
            f"Gave up after {attempts} attempts. {why}",
        )
        return
    delay = retry_delay(claim.attempt, resources.settings.retry_seconds)
    _retry(claim, resources, delay, counts_as_attempt=True)
    _log.warning(
        "attempt failed, will be retried",
        file_id=str(claim.file_id),
        attempt=attempts,
        seconds=round(delay.total_seconds(), 1),
        error=str(error),
        exc_info=None if expected else error,
    )


def _retry(
    claim: Claim, resources: Resources, delay: timedelta, *, counts_as_attempt: bool
) -> None:
    with autocommit(resources.engine) as connection:
        claims.retry_later(connection, claim, delay, counts_as_attempt=counts_as_attempt)
