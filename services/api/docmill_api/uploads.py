"""Uploads: confirm that the bytes of a reserved file are there, so that it is ingested.

What a client says of them is checked here against the store, and by the workers against the bytes
themselves.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Row
from sqlalchemy.exc import SQLAlchemyError

from docmill_api import metrics
from docmill_api.problems import Problem
from docmill_api.resources import Resources
from docmill_shared import broker, media_types
from docmill_shared.broker import QueueUnavailable
from docmill_shared.errors import ObjectMissing
from docmill_shared.files import reservations
from docmill_shared.messages import IngestFile
from docmill_shared.observability import get_logger
from docmill_shared.progress import FileProgress
from docmill_shared.row_security import statements_of
from docmill_shared.states import FailureReason, FileStatus

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A file, and whether this call queued it."""

    file: Row[Any]
    queued: bool


def confirm(resources: Resources, owner_id: UUID, file_id: UUID) -> Confirmation:
    """PENDING to QUEUED.

    However often and from wherever it is called, the file is queued once: the step is one
    conditional UPDATE, and only the call whose UPDATE took it sends a message.
    """
    (outcome,) = confirm_many(resources, owner_id, [file_id])
    if isinstance(outcome, Problem):
        raise outcome
    return outcome


def confirm_many(
    resources: Resources, owner_id: UUID, file_ids: Sequence[UUID]
) -> list[Confirmation | Problem]:
    """The same for several files, each for itself, in their order.

    Three statements whatever their number; the store is asked about several at once.

    Raises:
        StorageUnavailable: it is away, and none of the files is queued.
    """
    with statements_of(resources.engine, owner_id) as connection:
        files = reservations.find_many(connection, file_ids, owner_id)
    pending = [file for file in files.values() if file.status == FileStatus.PENDING]
    refusals = _check_objects(resources, pending)
    sound = [each for each in dict.fromkeys(file_ids) if _is_sound(files.get(each), refusals)]
    queued: dict[UUID, Row[Any]] = {}
    if sound:
        with statements_of(resources.engine, owner_id) as connection:
            queued = reservations.confirm_many(
                connection, sound, owner_id, request_id=_request_id()
            )
            if len(queued) < len(sound):  # somebody was faster
                files |= reservations.find_many(connection, sound, owner_id)
    # Before the messages: what the workers tell comes after.
    resources.progress.tell(owner_id, *map(FileProgress.of, queued.values()))
    for file in queued.values():
        metrics.UPLOADS.labels("confirmed").inc()
        metrics.UPLOAD_BYTES.labels("confirmed").inc(file.size_bytes)
        if file.sent_at is not None:
            _send(resources, owner_id, file.id)
    return [_outcome(each, files, refusals, queued) for each in file_ids]


def retry(resources: Resources, owner_id: UUID, file_id: UUID) -> Row[Any]:
    """FAILED to QUEUED, as if confirmed anew; a :class:`Problem` in any other state."""
    with statements_of(resources.engine, owner_id) as connection:
        queued = reservations.retry(connection, file_id, owner_id, request_id=_request_id())
        file = queued or reservations.find(connection, file_id, owner_id)
    if file is None:
        raise not_found()
    if queued is None:
        if file.failure_reason == FailureReason.CANCELLED:
            raise Problem(409, "not_failed", "A cancelled file is gone; upload it again.")
        raise Problem(409, "not_failed", f"Only a FAILED file is retried; this is {file.status}.")
    resources.progress.tell(owner_id, FileProgress.of(queued))
    if queued.sent_at is not None:
        _send(resources, owner_id, file_id)
    return file


def not_found() -> Problem:
    """The caller has no such file; whether somebody else has is not for them to know."""
    return Problem(404, "file_not_found", "You have no file with this id.")


def _request_id() -> str | None:
    found: str | None = structlog.contextvars.get_contextvars().get("request_id")
    return found


def _is_sound(file: Row[Any] | None, refusals: Mapping[UUID, Problem]) -> bool:
    return file is not None and file.status == FileStatus.PENDING and file.id not in refusals


def _outcome(
    file_id: UUID,
    files: Mapping[UUID, Row[Any]],
    refusals: Mapping[UUID, Problem],
    queued: Mapping[UUID, Row[Any]],
) -> Confirmation | Problem:
    if file_id in queued:
        return Confirmation(queued[file_id], True)
    if file_id in refusals:
        return refusals[file_id]
    if file_id not in files or files[file_id].status == FileStatus.PENDING:
        return not_found()  # never there, or deleted since it was looked at
    return Confirmation(files[file_id], False)


def _check_objects(resources: Resources, files: Sequence[Row[Any]]) -> dict[UUID, Problem]:
    """What is wrong with the objects of these files; empty when nothing is."""
    check = partial(_check_object, resources)
    if len(files) < 2:
        found = [check(file) for file in files]
    else:
        # A store that is away is not asked a hundred times: what has not begun is cancelled.
        calls = [resources.store_calls.submit(check, file) for file in files]
        try:
            found = [call.result() for call in calls]
        finally:
            for call in calls:
                call.cancel()
    return {
        file.id: refusal for file, refusal in zip(files, found, strict=True) if refusal is not None
    }


def _check_object(resources: Resources, file: Row[Any]) -> Problem | None:
    """The object must be there, as long as was declared, and begin like what was declared.

    A store that verifies signed headers sees to the length itself; this is where any other's
    promise that was not kept is noticed. The file stays PENDING, and the client may upload again.
    """
    length = min(media_types.SIGNATURE_BYTES, file.size_bytes)
    try:
        found = resources.objects.start(file.object_key, length)
    except ObjectMissing:
        return Problem(409, "not_uploaded", "The file was not uploaded yet.")
    declared = media_types.find(file.media_type)
    if found.size_bytes != file.size_bytes:
        refusal = Problem(
            409,
            "size_mismatch",
            f"{file.size_bytes} bytes were declared and {found.size_bytes} uploaded; "
            "the upload was deleted.",
        )
    elif declared is not None and not media_types.may_begin_with(declared, found.first_bytes):
        refusal = Problem(
            409,
            "type_mismatch",
            f"The file was declared as {declared.label} ({declared.name}) but begins like "
            f"{media_types.describe_beginning(found.first_bytes)}; the upload was deleted.",
        )
    else:
        return None
    resources.objects.delete_many([file.object_key])
    return refusal


def _send(resources: Resources, owner_id: UUID, file_id: UUID) -> None:
    """Send the message; the file is queued in Postgres already, whatever happens here."""
    try:
        broker.send(resources.broker, IngestFile(file_id=str(file_id)))
    except QueueUnavailable:
        log.warning("message not sent; the dispatcher will", file_id=str(file_id))
        try:
            with statements_of(resources.engine, owner_id) as connection:
                reservations.not_sent_after_all(connection, file_id)
        except SQLAlchemyError:
            # Then the dispatcher takes the message for lost, half a minute later.
            log.warning("could not note that no message was sent", file_id=str(file_id))
