"""Uploads: reserve a place for a file, then confirm that its bytes are there.

The bytes go from the client to the object store, never through the api. What a client says of
them is checked here against the store, and by the workers against the bytes themselves.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Row
from sqlalchemy.exc import SQLAlchemyError

from docmill_api import file_names, metrics
from docmill_api.problems import Problem, invalid, unavailable
from docmill_api.resources import Resources
from docmill_shared import broker, media_types
from docmill_shared.broker import QueueUnavailable
from docmill_shared.database import autocommit
from docmill_shared.errors import ObjectMissing
from docmill_shared.files import reservations
from docmill_shared.media_types import MediaType
from docmill_shared.messages import IngestFile
from docmill_shared.observability import get_logger
from docmill_shared.states import FailureReason, FileStatus, Visibility

#: What browsers and curl say of a file whose type they do not know: as good as nothing.
_UNKNOWN_TYPE = "application/octet-stream"

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Reservation:
    """A PENDING file and where its bytes go."""

    file: Row[Any]
    url: str
    expires_at: datetime


def reserve(
    resources: Resources,
    owner_id: UUID,
    *,
    name: str,
    media_type: str | None,
    size_bytes: int,
    visibility: Visibility,
    bulk: bool = False,
) -> Reservation:
    """Insert a PENDING file and presign its upload; a :class:`Problem` when it is refused.

    One statement. Nothing is inserted while the store is away: the client could not upload.
    """
    try:
        cleaned = file_names.clean(name)
    except ValueError as error:
        raise invalid("name", str(error)) from None
    accepted = _accepted_type(cleaned, media_type)
    _check_size(size_bytes, resources.settings.max_file_bytes)
    if resources.health.storage.problem() is not None:
        raise unavailable("storage_unavailable", "The object store cannot be reached.")
    file_id = uuid4()
    object_key = f"uploads/{owner_id}/{file_id}"
    valid_for = timedelta(seconds=resources.settings.upload_url_seconds)
    # Taken before signing, so that the URL is never said to hold longer than it does.
    expires_at = datetime.now(UTC).replace(microsecond=0) + valid_for
    url = resources.objects.presign_put(object_key, valid_for)
    with autocommit(resources.engine) as connection:
        file = reservations.reserve(
            connection,
            file_id=file_id,
            owner_id=owner_id,
            name=cleaned,
            media_type=accepted.name,
            size_bytes=size_bytes,
            visibility=visibility,
            object_key=object_key,
            bulk=bulk,
        )
    metrics.UPLOADS.labels("reserved").inc()
    metrics.UPLOAD_BYTES.labels("reserved").inc(size_bytes)
    return Reservation(file, url, expires_at)


def confirm(resources: Resources, owner_id: UUID, file_id: UUID) -> tuple[Row[Any], bool]:
    """PENDING to QUEUED; the file, and whether this call queued it.

    However often and from wherever it is called, the file is queued once: the step is one
    conditional UPDATE, and only the call whose UPDATE took it sends a message.
    """
    with autocommit(resources.engine) as connection:
        file = reservations.find(connection, file_id, owner_id)
    if file is None:
        raise not_found()
    if file.status != FileStatus.PENDING:
        return file, False
    _check_object(resources, file)
    queued, by_us = _queue(resources, file_id, owner_id, retried=False)
    if by_us:
        metrics.UPLOADS.labels("confirmed").inc()
        metrics.UPLOAD_BYTES.labels("confirmed").inc(queued.size_bytes)
    return queued, by_us


def retry(resources: Resources, owner_id: UUID, file_id: UUID) -> Row[Any]:
    """FAILED to QUEUED, as if confirmed anew; a :class:`Problem` in any other state."""
    file, queued = _queue(resources, file_id, owner_id, retried=True)
    if not queued:
        if file.failure_reason == FailureReason.CANCELLED:
            raise Problem(409, "not_failed", "A cancelled file is gone; upload it again.")
        raise Problem(409, "not_failed", f"Only a FAILED file is retried; this is {file.status}.")
    return file


def not_found() -> Problem:
    """The caller has no such file; whether somebody else has is not for them to know."""
    return Problem(404, "file_not_found", "You have no file with this id.")


def _accepted_type(name: str, declared: str | None) -> MediaType:
    if declared is None or declared.partition(";")[0].strip().lower() in {"", _UNKNOWN_TYPE}:
        found = media_types.guess(name)
    else:
        found = media_types.find(declared)
    if found is None:
        accepted = ", ".join(each.label for each in media_types.ACCEPTED)
        raise Problem(422, "unsupported_type", f"This type is not accepted. Accepted: {accepted}.")
    return found


def _check_size(size_bytes: int, limit: int) -> None:
    if size_bytes == 0:
        raise Problem(422, "empty_file", "The file is empty.")
    if size_bytes > limit:
        raise Problem(413, "too_large", f"The file is larger than {limit} bytes.")


def _check_object(resources: Resources, file: Row[Any]) -> None:
    """The object must be there and as long as was declared, hence within the limit as well.

    A presigned PUT limits neither, so this is where a promise that was not kept is noticed. The
    file stays PENDING, and the client may upload again.
    """
    try:
        actual = resources.objects.head(file.object_key).size_bytes
    except ObjectMissing:
        raise Problem(409, "not_uploaded", "The file was not uploaded yet.") from None
    if actual != file.size_bytes:
        resources.objects.delete_many([file.object_key])
        raise Problem(
            409,
            "size_mismatch",
            f"{file.size_bytes} bytes were declared and {actual} uploaded; the upload was deleted.",
        )


def _queue(
    resources: Resources, file_id: UUID, owner_id: UUID, *, retried: bool
) -> tuple[Row[Any], bool]:
    """Take the step to QUEUED and, if this call took it, send the message."""
    take = reservations.retry if retried else reservations.confirm
    with autocommit(resources.engine) as connection:
        queued = take(connection, file_id, owner_id)
        if queued is None:
            file = reservations.find(connection, file_id, owner_id)
            if file is None:
                raise not_found()
            return file, False
    if queued.sent_at is not None:
        _send(resources, file_id)
    return queued, True


def _send(resources: Resources, file_id: UUID) -> None:
    """Send the message; the file is queued in Postgres already, whatever happens here."""
    try:
        broker.send(resources.broker, IngestFile(file_id=str(file_id)))
    except QueueUnavailable:
        log.warning("message not sent; the dispatcher will", file_id=str(file_id))
        try:
            with autocommit(resources.engine) as connection:
                reservations.not_sent_after_all(connection, file_id)
        except SQLAlchemyError:
            # Then the dispatcher takes the message for lost, half a minute later.
            log.warning("could not note that no message was sent", file_id=str(file_id))
