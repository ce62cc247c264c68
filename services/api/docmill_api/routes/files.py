"""Files that are there: read, list, download, change, retry, cancel, delete."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from flask import Response
from pydantic import BaseModel, Field

from docmill_api import changes, cursors, deletions, downloads, passages, uploads
from docmill_api.answers import answer, nothing, problems
from docmill_api.client_input import Moment, Requested, Text
from docmill_api.current import caller, origin, resources
from docmill_api.file_view import FileView
from docmill_api.routes.blueprints import protected
from docmill_shared.files import listing, reservations
from docmill_shared.files.listing import Filters
from docmill_shared.row_security import statements_of
from docmill_shared.states import FileStatus, Visibility

blueprint = protected("files", "/v1/files", "Uploads and what became of them.", scope="files")

NOT_YOURS = problems(_404="`file_not_found`: you have no such file.")
_PAGE_IS_WRONG = problems(_422="A parameter is wrong.")


class FileId(BaseModel):
    """Which file."""

    file_id: UUID


class FilesQuery(Requested):
    """Which part of the list."""

    limit: int = Field(50, ge=1, le=200)
    cursor: str | None = Field(None, max_length=512, description="`next_cursor` of the page before")
    status: list[FileStatus] = Field(
        [], max_length=len(FileStatus), description="Only files with one of these; may be repeated."
    )
    visibility: Visibility | None = None
    name: Text | None = Field(
        None, min_length=1, max_length=255, description="A part of the name, in whatever case."
    )
    media_type: Text | None = Field(None, max_length=255)
    created_after: Moment | None = Field(None, description="Then or later.")
    created_before: Moment | None = Field(None, description="Earlier than then.")

    def filters(self) -> Filters:
        """What is asked of a file."""
        return Filters(
            statuses=self.status,
            visibility=self.visibility,
            name=self.name,
            media_type=self.media_type,
            created_after=self.created_after,
            created_before=self.created_before,
        )


class FileList(BaseModel):
    """The caller's files, newest first."""

    items: list[FileView]
    next_cursor: str | None = Field(description="Null on the last page.")


class FileChange(Requested):
    """What is to be different; what is absent or null stays as it is."""

    name: Text | None = Field(None, min_length=1, max_length=1024)
    visibility: Visibility | None = Field(
        None, description="`public`: found by everyone; contributors and admins only."
    )


class DownloadView(BaseModel):
    """The request that downloads the bytes from the object store."""

    method: Literal["GET"] = "GET"
    url: str
    expires_at: datetime


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


@blueprint.get("/<uuid:file_id>", responses={200: FileView, **NOT_YOURS})
def get(path: FileId) -> Response:
    """One file."""
    with statements_of(resources().engine, caller().id) as connection:
        file = reservations.find(connection, path.file_id, caller().id)
    if file is None:
        raise uploads.not_found()
    return answer(FileView.of(file))


@blueprint.get("", responses={200: FileList, **_PAGE_IS_WRONG})
def list_files(query: FilesQuery) -> Response:
    """The caller's files, newest first; with filters, those that match all of them."""
    after = None if query.cursor is None else cursors.decode_place(query.cursor)
    with statements_of(resources().engine, caller().id) as connection:
        rows = listing.newest(
            connection, caller().id, query.filters(), limit=query.limit + 1, after=after
        )
    page = rows[: query.limit]
    more = len(rows) > len(page)
    return answer(
        FileList(
            items=[FileView.of(row) for row in page],
            next_cursor=cursors.encode_place(page[-1].created_at, page[-1].id) if more else None,
        )
    )


@blueprint.patch(
    "/<uuid:file_id>",
    responses={
        200: FileView,
        **NOT_YOURS,
        **problems(
            _400="Malformed JSON.",
            _403="`publishing_not_allowed`, or `insufficient_scope` of an API key.",
            _415="Not JSON.",
            _422="A field is wrong, or none is given.",
        ),
    },
)
def change(path: FileId, body: FileChange) -> Response:
    """Rename a file, or change who finds it; searches see the change at once.

    Its passages stay as they are: a new name is shown, but was not embedded with them.
    """
    file = changes.change(
        resources(),
        caller().id,
        path.file_id,
        name=body.name,
        visibility=body.visibility,
        may_publish=caller().may_publish,
        origin=origin(),
    )
    return answer(FileView.of(file))


@blueprint.get(
    "/<uuid:file_id>/download",
    responses={200: DownloadView, **NOT_YOURS, **problems(_409="`no_object`")},
)
def download(path: FileId) -> Response:
    """A URL from which the file is downloaded under its name, good for an hour."""
    with statements_of(resources().engine, caller().id) as connection:
        file = reservations.find(connection, path.file_id, caller().id)
    if file is None:
        raise uploads.not_found()
    link = downloads.link(resources(), file)
    return answer(DownloadView(url=link.url, expires_at=link.expires_at))


@blueprint.get("/<uuid:file_id>/chunks", responses={200: ChunkList, **NOT_YOURS, **_PAGE_IS_WRONG})
def list_chunks(path: FileId, query: ChunksQuery) -> Response:
    """A file's passages in order."""
    after = None if query.cursor is None else cursors.decode_ordinal(query.cursor)
    with statements_of(resources().engine, caller().id) as connection:
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
    responses={202: FileView, **NOT_YOURS, **problems(_409="`not_failed`")},
)
def retry(path: FileId) -> Response:
    """Queue a FAILED file again, with all its attempts before it."""
    return answer(FileView.of(uploads.retry(resources(), caller().id, path.file_id)), 202)


@blueprint.post(
    "/<uuid:file_id>/cancel",
    responses={200: FileView, **NOT_YOURS, **problems(_409="`not_cancellable`")},
)
def cancel(path: FileId) -> Response:
    """Stop a QUEUED or PROCESSING file: it is FAILED (`cancelled`), and its object is deleted."""
    return answer(FileView.of(deletions.cancel(resources(), caller().id, path.file_id)))


@blueprint.delete("/<uuid:file_id>", responses={202: None, 204: None, **NOT_YOURS})
def delete(path: FileId) -> Response:
    """Delete a file: no longer found from now on.

    204 when all of it is gone; 202 while the object store is away and its object goes later.
    """
    gone = deletions.delete(resources(), caller().id, path.file_id)
    return nothing() if gone else Response(status=202)
