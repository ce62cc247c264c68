"""What can go wrong, as one tree below :class:`DocmillError`.

The text of each is a sentence for a person; ``code`` is for programs and stays the same for ever.
"""

from collections.abc import Sequence
from typing import Any


class DocmillError(Exception):
    """A call came to nothing."""

    #: Of errors that no answer of the api gave a code.
    code = "docmill_error"

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        status: int | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or type(self).code
        self.status = status  #: of the answer; None when there was none
        self.request_id = request_id  #: to be named when the problem is reported
        self.retry_after = retry_after  #: seconds to wait before the next try, if the server said


class Unreachable(DocmillError):
    """Nobody answered, or not in time."""

    code = "unreachable"


class TimedOut(Unreachable):
    """It is there, or on its way, and did not answer in time."""

    code = "timed_out"


class NotDocmill(DocmillError):
    """Somebody answered who does not seem to be docmill."""

    code = "not_docmill"


class FileChanged(DocmillError):
    """The file became shorter while it was uploaded."""

    code = "file_changed"


class UploadRefused(DocmillError):
    """The object store did not take the bytes."""

    code = "upload_refused"


class DownloadRefused(DocmillError):
    """The object store did not give the bytes."""

    code = "download_refused"


class WaitedTooLong(DocmillError, TimeoutError):
    """What was waited for has not happened in the time that was given."""

    code = "waited_too_long"


class WebhookRejected(DocmillError):
    """A request that claims to be a webhook of docmill is not to be trusted."""

    code = "webhook_rejected"


class ApiError(DocmillError):
    """The api refused: a problem document (RFC 9457)."""

    def __init__(self, detail: str, *, errors: Sequence[Any] = (), **described: Any) -> None:
        super().__init__(detail, **described)
        #: Of ``validation_failed``: what is wrong with which field.
        self.errors = list(errors)


class InvalidRequest(ApiError):
    """The request is not valid (400, 413, 415, 422)."""


class Unauthorized(ApiError):
    """The token or the password is not accepted (401)."""


class Forbidden(ApiError):
    """The account or the API key may not do this (403)."""


class NotFound(ApiError):
    """There is no such thing, or it is somebody else's (404)."""


class Conflict(ApiError):
    """Not in this state (409)."""


class RateLimited(ApiError):
    """Too many requests, or a quota is used up (429); ``retry_after`` may say for how long."""


class ServerFault(ApiError):
    """A fault of docmill's own (500 and others)."""


class Unavailable(ServerFault):
    """Something behind the api is away (502, 503, 504)."""


_BY_STATUS: dict[int, type[ApiError]] = {
    400: InvalidRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: InvalidRequest,
    415: InvalidRequest,
    422: InvalidRequest,
    429: RateLimited,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


def of_status(status: int) -> type[ApiError]:
    """The class of an answer with this status."""
    return _BY_STATUS.get(status, ServerFault if status >= 500 else ApiError)
