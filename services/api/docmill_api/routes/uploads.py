"""Uploads: reserve and confirm, one by one or up to a hundred at once."""

from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from flask import Response
from pydantic import BaseModel, Field

from docmill_api import reserving, uploads
from docmill_api.answers import answer, problems
from docmill_api.client_input import WHOLE, Flag, Idempotency, Requested, Text, digest_of
from docmill_api.current import caller, origin, resources
from docmill_api.file_view import FileView
from docmill_api.problems import Problem, ProblemDetails
from docmill_api.quota_view import Quota
from docmill_api.reserving import Key, Reservation, Reserved, Wanted
from docmill_api.routes.blueprints import protected
from docmill_api.routes.files import NOT_YOURS, FileId
from docmill_api.uploads import Confirmation
from docmill_shared.states import Visibility
from docmill_shared.usage import Limits

MOST_AT_ONCE = 100

blueprint = protected("uploads", "/v1/files", "Ways in for files.", scope="files")

_BODY_IS_WRONG = problems(_400="Malformed JSON.", _415="Not JSON.")
_NO_ROOM = problems(_429="`quota_exceeded`: `errors` names the quotas and what remains of each.")


class NewFile(Requested):
    """A file to be uploaded."""

    name: Text = Field(min_length=1, max_length=1024, examples=["report.pdf"])
    media_type: Text | None = Field(
        None, max_length=255, description="Guessed from the name when absent."
    )
    size_bytes: Annotated[int, Field(ge=0), WHOLE] = Field(
        description="Exactly as long as the upload will be."
    )
    visibility: Visibility = Field(
        Visibility.PRIVATE, description="`public`: found by everyone; contributors and admins only."
    )
    bulk: Flag = Field(
        False, description="One of many that nobody waits for: ingested after other files."
    )
    sha256: str | None = Field(
        None,
        pattern="^[0-9a-fA-F]{64}$",
        description="Of the bytes, in hexadecimal. If a COMPLETED file of yours has it, that is the"
        " answer and nothing is uploaded; if the upload has another, the file FAILED.",
    )

    def wanted(self) -> Wanted:
        """The same without its form."""
        return Wanted(
            name=self.name,
            media_type=self.media_type,
            size_bytes=self.size_bytes,
            visibility=self.visibility,
            bulk=self.bulk,
            sha256=self.sha256,
        )


class NewFiles(Requested):
    """Files to be uploaded."""

    files: list[NewFile] = Field(min_length=1, max_length=MOST_AT_ONCE)


class FileIds(Requested):
    """Which files."""

    ids: list[UUID] = Field(min_length=1, max_length=MOST_AT_ONCE)


class Upload(BaseModel):
    """The request that uploads the bytes, made by the client to the object store.

    The URL is signed for these headers and for the length that was declared; a store may refuse
    any other.
    """

    method: Literal["PUT"] = "PUT"
    url: str
    headers: dict[str, str] = Field(
        description="To be sent with it, beside the Content-Length that every client adds."
    )
    expires_at: datetime

    @classmethod
    def of(cls, reservation: Reservation) -> Self | None:
        """None when there is nothing to upload."""
        if reservation.url is None:
            return None
        return cls(
            url=reservation.url,
            headers={"Content-Type": reservation.file.media_type},
            expires_at=reservation.expires_at,
        )


class ReservedFile(BaseModel):
    """A file and where its bytes go."""

    file: FileView
    upload: Upload | None = Field(description="Null when there is nothing to upload.")
    duplicate: bool = Field(description="You have these bytes already, in this file.")
    quota: Quota = Field(description="With this file.")


class ReservedItem(BaseModel):
    """What became of one of several files."""

    status: int = Field(description="What the answer would be if it came alone: 201, 200 or worse.")
    file: FileView | None
    upload: Upload | None
    duplicate: bool
    problem: ProblemDetails | None = Field(description="Why it is refused; then `file` is null.")

    @classmethod
    def of(cls, outcome: Reservation | Problem) -> Self:
        """The view of this."""
        if isinstance(outcome, Problem):
            refused, details = outcome.status, outcome.details()
            return cls(status=refused, file=None, upload=None, duplicate=False, problem=details)
        return cls(
            status=200 if outcome.url is None else 201,
            file=FileView.of(outcome.file),
            upload=Upload.of(outcome),
            duplicate=outcome.duplicate,
            problem=None,
        )


class ReservedFiles(BaseModel):
    """What became of each file, in the order of the request."""

    items: list[ReservedItem]
    quota: Quota = Field(description="With these files.")


class ConfirmedItem(BaseModel):
    """What became of one of several files."""

    id: UUID
    status: int = Field(description="What the answer would be if it came alone: 202, 200 or worse.")
    file: FileView | None
    problem: ProblemDetails | None = Field(description="Why it is refused; then `file` is null.")

    @classmethod
    def of(cls, file_id: UUID, outcome: Confirmation | Problem) -> Self:
        """The view of this."""
        if isinstance(outcome, Problem):
            return cls(id=file_id, status=outcome.status, file=None, problem=outcome.details())
        file = FileView.of(outcome.file)
        return cls(id=file_id, status=202 if outcome.queued else 200, file=file, problem=None)


class ConfirmedFiles(BaseModel):
    """What became of each file, in the order of the request."""

    items: list[ConfirmedItem]


@blueprint.post(
    "",
    responses={
        200: ReservedFile,
        201: ReservedFile,
        **_BODY_IS_WRONG,
        **_NO_ROOM,
        **problems(
            _403="`publishing_not_allowed`, or `insufficient_scope` of an API key.",
            _409="`idempotency_conflict`",
            _413="`too_large`",
            _422="`unsupported_type`, `empty_file`, `idempotency_key_reused`, or a field is wrong.",
        ),
    },
)
def reserve(header: Idempotency, body: NewFile) -> Response:
    """Reserve a place for a file, and get the URL to which its bytes are to be uploaded.

    200, without an upload, when you have a COMPLETED file with the `sha256` (`duplicate`), or when
    this repeats a request whose file was confirmed since.
    """
    reserved = _reserve([body.wanted()], header, body)
    (outcome,) = reserved.outcomes
    if isinstance(outcome, Problem):
        raise outcome
    file, upload = FileView.of(outcome.file), Upload.of(outcome)
    shown = ReservedFile(
        file=file, upload=upload, duplicate=outcome.duplicate, quota=_quota(reserved)
    )
    location = {"Location": f"/v1/files/{file.id}"}
    return answer(shown, 200 if upload is None else 201, headers=location)


@blueprint.post(
    "/bulk",
    responses={
        200: ReservedFiles,
        **_BODY_IS_WRONG,
        **_NO_ROOM,
        **problems(
            _409="`idempotency_conflict`",
            _422="`idempotency_key_reused`, or a field is wrong: then nothing is reserved.",
        ),
    },
)
def reserve_many(header: Idempotency, body: NewFiles) -> Response:
    """Reserve places for up to 100 files.

    A file that is refused for itself has a `problem`, and the others are reserved. Where those do
    not fit into the quota together, none is.
    """
    reserved = _reserve([each.wanted() for each in body.files], header, body)
    items = [ReservedItem.of(outcome) for outcome in reserved.outcomes]
    return answer(ReservedFiles(items=items, quota=_quota(reserved)))


@blueprint.post(
    "/<uuid:file_id>/confirm",
    responses={
        200: FileView,
        202: FileView,
        **NOT_YOURS,
        **problems(
            _409="`not_uploaded`, `size_mismatch` or `type_mismatch`; upload (again), then confirm"
            " again."
        ),
    },
)
def confirm(path: FileId) -> Response:
    """Say that the bytes are uploaded: the file is queued for ingestion.

    202 when this call queued it; 200, with the present state, when it was confirmed before.
    """
    confirmed = uploads.confirm(resources(), caller().id, path.file_id)
    return answer(FileView.of(confirmed.file), 202 if confirmed.queued else 200)


@blueprint.post(
    "/confirm",
    responses={200: ConfirmedFiles, **_BODY_IS_WRONG, **problems(_422="A field is wrong.")},
)
def confirm_many(body: FileIds) -> Response:
    """Say of up to 100 files that their bytes are uploaded; each is confirmed for itself."""
    outcomes = uploads.confirm_many(resources(), caller().id, body.ids)
    pairs = zip(body.ids, outcomes, strict=True)
    return answer(ConfirmedFiles(items=[ConfirmedItem.of(*pair) for pair in pairs]))


def _reserve(wanted: list[Wanted], header: Idempotency, body: BaseModel) -> Reserved:
    key = None if header.key is None else Key(header.key, digest_of(body))
    return reserving.reserve(
        resources(),
        caller().id,
        wanted,
        may_publish=caller().may_publish,
        origin=origin(),
        key=key,
    )


def _quota(reserved: Reserved) -> Quota:
    return Quota.of(reserved.usage, Limits.of(resources().settings))
