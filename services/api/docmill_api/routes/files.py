"""Files: reserve, confirm, read, list, retry, cancel, delete."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from flask import Response
from pydantic import BaseModel, Field

from docmill_api import cursors, deletions, passages, uploads
from docmill_api.answers import answer, nothing, problems
from docmill_api.client_input import Requested, Text
from docmill_api.current import caller, resources
from docmill_api.file_view import FileView
from docmill_api.problems import Problem
from docmill_api.routes.blueprints import protected
from docmill_shared.database import autocommit
from docmill_shared.files import reservations
from docmill_shared.states import FileStatus, Visibility

blueprint = protected("files", "/v1/files", "Uploads and what became of them.")

_NOT_YOURS = problems(_404="`file_not_found`: you have no such file.")
_PAGE_IS_WRONG = problems(_422="A parameter is wrong.")


class NewFile(Requested):
    """A file to be uploaded."""

    name: Text = Field(min_length=1, max_length=1024, examples=["report.pdf"])
    media_type: Text | None = Field(
        None, max_length=255, description="Guessed from the name when absent."
    )
    size_bytes: int = Field(ge=0, strict=True, description="Exactly as long as the upload will be.")
    visibility: Visibility = Field(
        Visibility.PRIVATE, description="`public`: found by everyone; contributors and admins only."
    )
    bulk: bool = Field(
        False, description="One of many that nobody waits for: ingested after other files."
    )


class Upload(BaseModel):
    """The request that uploads the bytes, made by the client to the object store."""

    method: Literal["PUT"] = "PUT"
    url: str
    headers: dict[str, str] = Field(description="To be sent with it.")
    expires_at: datetime


class Reserved(BaseModel):
    """A PENDING file and where its bytes go."""

    file: FileView
    upload: Upload


class FileId(BaseModel):
    """Which file."""

    file_id: UUID


class FilesQuery(Requested):
    """Which part of the list."""

    limit: int = Field(50, ge=1, le=200)
    cursor: str | None = Field(None, max_length=512, description="`next_cursor` of the page before")
    status: FileStatus | None = Field(None, description="Only files with this status.")


class FileList(BaseModel):
    """The caller's files, newest first."""

    items: list[FileView]
    next_cursor: str | None = Field(description="Null on the last page.")


class ChunksQuery(Requested):
    """Which part of the list."""

    limit: int = Field(50, ge=1, le=200)
    cursor: str | None = Field(None, max_length=512, description="`next_cursor` of the page before")


class ChunkView(BaseModel):
    """A passage of a file."""

    id: UUID
    ordinal: int
    text: str
    token_count: int
    page_start: int | None
    page_end: int | None
    heading_path: list[str]
    char_start: int = Field(description="Offset into the extracted text, in characters.")
    char_end: int


class ChunkList(BaseModel):
    """A file's passages in order; none before it is COMPLETED."""

    items: list[ChunkView]
    next_cursor: str | None = Field(description="Null on the last page.")


@blueprint.post(
    "",
    responses={
        201: Reserved,
        **problems(
            _400="Malformed JSON.",
            _403="`publishing_not_allowed`",
            _413="`too_large`",
            _415="Not JSON.",
            _422="`unsupported_type`, `empty_file`, or a field is wrong.",
        ),
    },
)
def reserve(body: NewFile) -> Response:
    """Reserve a place for a file, and get the URL to which its bytes are to be uploaded."""
    if body.visibility == Visibility.PUBLIC and not caller().may_publish:
        raise Problem(403, "publishing_not_allowed", "Only contributors and admins may publish.")
    reserved = uploads.reserve(
        resources(),
        caller().id,
        name=body.name,
        media_type=body.media_type,
        size_bytes=body.size_bytes,
        visibility=body.visibility,
        bulk=body.bulk,
    )
    file = FileView.of(reserved.file)
    upload = Upload(
        url=reserved.url,
        headers={"Content-Type": file.media_type},
        expires_at=reserved.expires_at,
    )
    return answer(
        Reserved(file=file, upload=upload), 201, headers={"Location": f"/v1/files/{file.id}"}
    )


@blueprint.post(
    "/<uuid:file_id>/confirm",
    responses={
        200: FileView,
        202: FileView,
        **_NOT_YOURS,
        **problems(_409="`not_uploaded` or `size_mismatch`; upload (again), then confirm again."),
    },
)
def confirm(path: FileId) -> Response:
    """Say that the bytes are uploaded: the file is queued for ingestion.

    202 when this call queued it; 200, with the present state, when it was confirmed before.
    """
    file, queued = uploads.confirm(resources(), caller().id, path.file_id)
    return answer(FileView.of(file), 202 if queued else 200)


@blueprint.get("/<uuid:file_id>", responses={200: FileView, **_NOT_YOURS})
def get(path: FileId) -> Response:
    """One file."""
    with autocommit(resources().engine) as connection:
        file = reservations.find(connection, path.file_id, caller().id)
    if file is None:
        raise uploads.not_found()
    return answer(FileView.of(file))


@blueprint.get("", responses={200: FileList, **_PAGE_IS_WRONG})
def list_files(query: FilesQuery) -> Response:
    """The caller's files, newest first."""
    after = None if query.cursor is None else cursors.decode_place(query.cursor)
    with autocommit(resources().engine) as connection:
        rows = reservations.newest(
            connection, caller().id, limit=query.limit + 1, after=after, status=query.status
        )
    page = rows[: query.limit]
    more = len(rows) > len(page)
    return answer(
        FileList(
            items=[FileView.of(row) for row in page],
            next_cursor=cursors.encode_place(page[-1].created_at, page[-1].id) if more else None,
        )
    )


@blueprint.get("/<uuid:file_id>/chunks", responses={200: ChunkList, **_NOT_YOURS, **_PAGE_IS_WRONG})
def list_chunks(path: FileId, query: ChunksQuery) -> Response:
    """A file's passages in order."""
    after = None if query.cursor is None else cursors.decode_ordinal(query.cursor)
    with autocommit(resources().engine) as connection:
        rows = passages.of_file(
            connection, path.file_id, caller().id, limit=query.limit + 1, after=after
        )
        # Passages prove the file; only without any must it be looked up.
        if not rows and reservations.find(connection, path.file_id, caller().id) is None:
            raise uploads.not_found()
    page = rows[: query.limit]
    more = len(rows) > len(page)
    return answer(
        ChunkList(
            items=[ChunkView.model_validate(row, from_attributes=True) for row in page],
            next_cursor=cursors.encode_ordinal(page[-1].ordinal) if more else None,
        )
    )


@blueprint.post(
    "/<uuid:file_id>/retry",
    responses={202: FileView, **_NOT_YOURS, **problems(_409="`not_failed`")},
)
def retry(path: FileId) -> Response:
    """Queue a FAILED file again, with all its attempts before it."""
    return answer(FileView.of(uploads.retry(resources(), caller().id, path.file_id)), 202)


@blueprint.post(
    "/<uuid:file_id>/cancel",
    responses={200: FileView, **_NOT_YOURS, **problems(_409="`not_cancellable`")},
)
def cancel(path: FileId) -> Response:
    """Stop a QUEUED or PROCESSING file: it is FAILED (`cancelled`), and its object is deleted."""
    return answer(FileView.of(deletions.cancel(resources(), caller().id, path.file_id)))


@blueprint.delete("/<uuid:file_id>", responses={202: None, 204: None, **_NOT_YOURS})
def delete(path: FileId) -> Response:
    """Delete a file: no longer found from now on.

    204 when all of it is gone; 202 while the object store is away and its object goes later.
    """
    gone = deletions.delete(resources(), caller().id, path.file_id)
    return nothing() if gone else Response(status=202)
