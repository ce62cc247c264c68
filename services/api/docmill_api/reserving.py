"""Reservations: places for files to be uploaded, within the owner's quota.

The bytes go from the client to the object store, never through the api.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from docmill_api import file_names, metrics
from docmill_api.problems import FieldProblem, Problem, invalid, unavailable
from docmill_api.resources import Resources
from docmill_shared import audit, media_types
from docmill_shared.audit import Origin
from docmill_shared.database import autocommit
from docmill_shared.files import admission
from docmill_shared.files.admission import Admission, Wish
from docmill_shared.media_types import MediaType
from docmill_shared.row_security import statements_of
from docmill_shared.states import FileStatus, Visibility
from docmill_shared.usage import Limits, Usage

#: What browsers and curl say of a file whose type they do not know: as good as nothing.
_UNKNOWN_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file as its owner describes it."""

    name: str
    media_type: str | None
    size_bytes: int
    visibility: Visibility
    bulk: bool
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Key:
    """An Idempotency-Key, and a digest of the request that it came with."""

    value: str
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Reservation:
    """A file and where its bytes go; no URL when there is nothing to upload."""

    file: Row[Any]
    url: str | None
    expires_at: datetime
    duplicate: bool = False  #: the owner has these bytes already, in this file


@dataclass(frozen=True, slots=True)
class Reserved:
    """What became of each wish, in their order, and what the owner has then."""

    outcomes: list[Reservation | Problem]
    usage: Usage


def reserve(
    resources: Resources,
    owner_id: UUID,
    wanted: Sequence[Wanted],
    *,
    may_publish: bool,
    origin: Origin,
    key: Key | None = None,
) -> Reserved:
    """Insert PENDING files in one statement and presign their uploads.

    One that is refused for itself has its :class:`Problem` in the outcomes.

    Raises:
        Problem: those that are left do not fit into the quota together, the key was used for
            another request, or the store is away and the client could not upload.
    """
    wishes = [
        _wish(resources, each, may_publish=may_publish, key=_key_of(key, number, len(wanted)))
        for number, each in enumerate(wanted)
    ]
    valid = [wish for wish in wishes if isinstance(wish, Wish)]
    if valid and resources.health.storage.problem() is not None:
        raise unavailable("storage_unavailable", "The object store cannot be reached.")
    limits = Limits.of(resources.settings)
    admitted, in_the_way = _admit(resources, owner_id, valid, limits)
    outcomes: list[Reservation | Problem] = []
    for wish in wishes:
        if isinstance(wish, Problem):
            outcomes.append(wish)
        elif wish.file_id in admitted.files:
            outcomes.append(_reservation(resources, admitted.files[wish.file_id]))
        else:
            outcomes.append(_existing(resources, wish, in_the_way, limits, admitted.usage, valid))
    rows = admitted.files.values()
    public = [row.id for row in rows if row.visibility == Visibility.PUBLIC]
    if public:
        with autocommit(resources.engine) as connection:
            audit.published(connection, owner_id, public, origin)
    size = sum(row.size_bytes for row in rows)
    metrics.UPLOADS.labels("reserved").inc(len(rows))
    metrics.UPLOAD_BYTES.labels("reserved").inc(size)
    before = admitted.usage
    return Reserved(outcomes, Usage(before.files + len(rows), before.bytes + size, before.tokens))


def _key_of(key: Key | None, number: int, count: int) -> Key | None:
    """Each of several files has a key of its own; no client can send one with a space."""
    return key if key is None or count == 1 else Key(f"{key.value} {number}", key.sha256)


def _wish(
    resources: Resources, wanted: Wanted, *, may_publish: bool, key: Key | None
) -> Wish | Problem:
    if wanted.visibility is Visibility.PUBLIC and not may_publish:
        return publishing_not_allowed()
    try:
        name = file_names.clean(wanted.name)
    except ValueError as error:
        return invalid("name", str(error))
    accepted = _accepted_type(name, wanted.media_type)
    if accepted is None:
        labels = ", ".join(each.label for each in media_types.ACCEPTED)
        return Problem(422, "unsupported_type", f"This type is not accepted. Accepted: {labels}.")
    limit = resources.settings.max_file_bytes
    if wanted.size_bytes == 0:
        return Problem(422, "empty_file", "The file is empty.")
    if wanted.size_bytes > limit:
        return Problem(413, "too_large", f"The file is larger than {limit} bytes.")
    return Wish(
        name=name,
        media_type=accepted.name,
        size_bytes=wanted.size_bytes,
        visibility=wanted.visibility,
        bulk=wanted.bulk,
        sha256=None if wanted.sha256 is None else bytes.fromhex(wanted.sha256),
        idempotency_key=None if key is None else key.value,
        idempotency_sha256=None if key is None else key.sha256,
    )


def publishing_not_allowed() -> Problem:
    """The caller has not the role."""
    return Problem(403, "publishing_not_allowed", "Only contributors and admins may publish.")


def _accepted_type(name: str, declared: str | None) -> MediaType | None:
    if declared is None or declared.partition(";")[0].strip().lower() in {"", _UNKNOWN_TYPE}:
        return media_types.guess(name)
    return media_types.find(declared)


def _admit(
    resources: Resources, owner_id: UUID, wishes: Sequence[Wish], limits: Limits
) -> tuple[Admission, list[Row[Any]]]:
    with statements_of(resources.engine, owner_id) as connection:
        admitted = admission.admit(connection, owner_id, wishes, limits)
    left = [
        wish
        for wish in wishes
        if wish.file_id not in admitted.files and (wish.sha256 or wish.idempotency_key)
    ]
    if not left:
        return admitted, []
    # A statement of its own, which sees what was inserted while the first one waited.
    with statements_of(resources.engine, owner_id) as connection:
        return admitted, admission.find_in_the_way(connection, owner_id, left)


def _existing(
    resources: Resources,
    wish: Wish,
    in_the_way: Sequence[Row[Any]],
    limits: Limits,
    usage: Usage,
    wishes: Sequence[Wish],
) -> Reservation:
    """What there is instead of a new file; raises the Problem if that is nothing."""
    for row in in_the_way:
        if wish.idempotency_key is not None and row.idempotency_key == wish.idempotency_key:
            if bytes(row.idempotency_sha256) != wish.idempotency_sha256:
                raise Problem(
                    422,
                    "idempotency_key_reused",
                    "This Idempotency-Key came with another request before; use a new one.",
                )
            return _reservation(resources, row)
    for row in in_the_way:
        if wish.sha256 is not None and row.sha256 == wish.sha256:
            return Reservation(row, None, datetime.now(UTC), duplicate=True)
    raise _quota_exceeded(limits, usage, wishes) or Problem(
        409, "idempotency_conflict", "A file with this Idempotency-Key just went; try again."
    )


def _quota_exceeded(limits: Limits, usage: Usage, wishes: Sequence[Wish]) -> Problem | None:
    size = sum(wish.size_bytes for wish in wishes)
    over = [
        FieldProblem(field=name, message=f"{max(0, limit - used)} of {limit} remain")
        for name, limit, used, wanted in (
            ("files", limits.files, usage.files, len(wishes)),
            ("bytes", limits.bytes, usage.bytes, size),
        )
        if limit is not None and used + wanted > limit
    ]
    if not over:
        return None
    which = "; ".join(f"{each.field}: {each.message}" for each in over)
    return Problem(
        429,
        "quota_exceeded",
        f"This does not fit into your quota ({which}); delete files to make room.",
        errors=over,
    )


def _reservation(resources: Resources, file: Row[Any]) -> Reservation:
    """With a URL while there is something to upload, also for a repeated request."""
    valid_for = timedelta(seconds=resources.settings.upload_url_seconds)
    # Taken before signing, so that the URL is never said to hold longer than it does.
    expires_at = datetime.now(UTC).replace(microsecond=0) + valid_for
    if file.status != FileStatus.PENDING:
        return Reservation(file, None, expires_at)
    url = resources.objects.presign_put(
        file.object_key, valid_for, media_type=file.media_type, size_bytes=file.size_bytes
    )
    return Reservation(file, url, expires_at)
