"""Live progress as server-sent events."""

from uuid import UUID

from flask import Response, request
from pydantic import BaseModel, Field

from docmill_api import authentication, event_frames
from docmill_api.answers import nothing, problems
from docmill_api.current import caller, resources
from docmill_api.event_streams import EventStream
from docmill_api.routes.blueprints import protected

blueprint = protected("events", "/v1", "What happens to files, as it happens.", scope="files")

_EXAMPLE = """retry: 1000

id: 1767225600000-0
event: progress
data: {"file_id": "0f8b0f4e-7d0c-4b1e-9b60-2f4d6a1c9c55", "status": "PROCESSING",
 "stage": "embed", "page_count": 12, "pages_done": 7, "chunk_count": null, "chunks_done": 64,
 "failure": null}

: heartbeat

""".replace(",\n ", ", ")
#: Before OpenAPI 3.2 the schema of a stream is that of each event.
_EVENT = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "event": {"type": "string", "enum": ["progress", "state", "deleted"]},
        "data": {"type": "string"},
    },
    "required": ["event", "data"],
}
_STREAM = {
    200: {
        "description": "Server-sent events until the client hangs up: `progress`, as it happens;"
        " `state`, what is known where nothing says what the client missed; `deleted`, the file is"
        " gone. The data of each is one line of JSON as in the example, with `failure` as in a"
        " file. Comments are heartbeats.",
        "content": {
            event_frames.MEDIA_TYPE: {"schema": _EVENT, "example": _EXAMPLE},
        },
    },
    **problems(
        _429="`too_many_own_streams`: close one, or come back after `Retry-After`. Or a rate limit."
    ),
}


class WatchedFile(BaseModel):
    """Which file."""

    file_id: UUID


class Resume(BaseModel):
    """Where to go on."""

    last_event_id: str | None = Field(
        None,
        alias="Last-Event-ID",
        description="The `id` of the last event that was received: those after it come first.",
    )


@blueprint.get(
    "/files/<uuid:file_id>/events",
    responses={
        **_STREAM,
        204: None,
        **problems(_404="`file_not_found`: you have no such file."),
    },
)
def file_events(path: WatchedFile, header: Resume) -> Response:
    """What happens to a file, until its end.

    The stream ends with COMPLETED, DUPLICATE, FAILED or the deletion of the file. 204: the client
    has been told of that already, by the event that it names.
    """
    return _stream(path.file_id, header.last_event_id)


@blueprint.get("/events", responses=_STREAM)
def all_events(header: Resume) -> Response:
    """What happens to all files of the caller.

    Without a known `Last-Event-ID` it begins with the newest files and those under way.
    """
    return _stream(None, header.last_event_id)


def _stream(file_id: UUID | None, last_event_id: str | None) -> Response:
    owner_id = caller().id
    listener = resources().events.open(owner_id, request.environ.get("gunicorn.socket"))
    stream = EventStream(resources(), owner_id, file_id, listener, authentication.recheck())
    try:
        begun = stream.begin(last_event_id)
        response = Response(iter(stream), mimetype=event_frames.MEDIA_TYPE) if begun else nothing()
        # For proxies of nginx' kind; Cache-Control is what every answer has.
        response.headers["X-Accel-Buffering"] = "no"
    except BaseException:
        stream.close()
        raise
    response.call_on_close(stream.close)
    return response
