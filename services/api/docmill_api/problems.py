"""Errors as RFC 9457 problem details, each with a ``code`` that stays the same for ever.

Whatever is refused raises :class:`Problem`; ``register`` also turns what Flask, pydantic and the
shared package raise into one, so that no error leaves the api in another shape.
"""

from collections.abc import Sequence
from http import HTTPStatus

import structlog
from flask import Flask, Response
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, Field, ValidationError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException

from docmill_shared.broker import QueueUnavailable
from docmill_shared.errors import StorageUnavailable
from docmill_shared.observability import get_logger

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 5

log = get_logger(__name__)


class FieldProblem(BaseModel):
    """What is wrong with one field of the request."""

    field: str = Field(description="Its path, such as `size_bytes`; empty for the whole body.")
    message: str


class ProblemDetails(BaseModel):
    """A refusal or a failure (RFC 9457)."""

    type: str = Field("about:blank", description="`about:blank`: `code` says which problem it is.")
    title: str
    status: int
    code: str = Field(description="Stable; for programs.", examples=["not_uploaded"])
    detail: str = Field(description="One sentence; for people.")
    request_id: str | None = Field(None, description="Name it when you report the problem.")
    errors: list[FieldProblem] | None = Field(
        None, description="Of `validation_failed`: fields; of `quota_exceeded`: quotas."
    )


class Problem(Exception):
    """Raised wherever a request is refused."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: Sequence[FieldProblem] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = list(errors)
        self.headers = headers or {}

    def details(self) -> ProblemDetails:
        """The problem as a part of an answer."""
        return ProblemDetails(
            title=HTTPStatus(self.status).phrase,
            status=self.status,
            code=self.code,
            detail=self.detail,
            request_id=structlog.contextvars.get_contextvars().get("request_id"),
            errors=self.errors or None,
        )

    def response(self) -> Response:
        """The problem as an answer."""
        return Response(
            self.details().model_dump_json(exclude_none=True),
            status=self.status,
            headers=self.headers,
            mimetype=MEDIA_TYPE,
        )


def invalid(field: str, message: str) -> Problem:
    """One field is wrong."""
    return _validation_failed([FieldProblem(field=field, message=message)])


def unavailable(code: str, detail: str, retry_after: float = RETRY_AFTER_SECONDS) -> Problem:
    """Something behind the api is away."""
    return Problem(503, code, detail, headers={"Retry-After": str(max(1, round(retry_after)))})


def from_validation(error: ValidationError) -> Response:
    """Every field that is wrong, and why; never its value, which may be a password."""
    return _validation_failed(
        [
            FieldProblem(
                field=".".join(str(part) for part in each["loc"]),
                message=each["msg"].removeprefix("Value error, "),
            )
            for each in error.errors(include_url=False, include_input=False)
        ]
    ).response()


def register(app: Flask) -> None:
    """Answer every error of this app with a problem."""
    app.register_error_handler(Problem, Problem.response)
    app.register_error_handler(HTTPException, _from_http)
    app.register_error_handler(StorageUnavailable, _from_storage)
    app.register_error_handler(QueueUnavailable, _from_queue)
    # After a disconnect psycopg raises either; a pool without a free connection raises the third.
    for kind in (OperationalError, InterfaceError, PoolTimeout):
        app.register_error_handler(kind, _from_database)
    app.register_error_handler(Exception, _from_bug)


def _validation_failed(errors: list[FieldProblem]) -> Problem:
    detail = "; ".join(
        f"{each.field}: {each.message}" if each.field else each.message for each in errors
    )
    return Problem(422, "validation_failed", f"The request is not valid: {detail}.", errors=errors)


#: What Flask itself refuses; the others get the code of their status.
_CODES = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    415: "unsupported_media_type",
}


def _from_http(error: HTTPException) -> ResponseReturnValue:
    if error.response is not None:  # aborted with an answer of its own
        return error
    status = error.code or 500
    if status < 400:  # a redirect
        return error
    phrase = HTTPStatus(status).phrase
    code = _CODES.get(status, phrase.lower().replace(" ", "_"))
    headers = {
        name: value for name, value in error.get_headers() if name in {"Allow", "Retry-After"}
    }
    return Problem(status, code, error.description or phrase, headers=headers).response()


def _from_storage(error: StorageUnavailable) -> Response:
    log.warning("storage unavailable", reason=str(error))
    return unavailable("storage_unavailable", "The object store cannot be reached.").response()


def _from_queue(error: QueueUnavailable) -> Response:
    log.warning("queue unavailable", reason=str(error))
    return unavailable("queue_unavailable", "The queue (Redis) cannot be reached.").response()


def _from_database(error: Exception) -> Response:
    # The message can hold the statement's parameters; the driver's own error names the cause.
    cause = error.orig if isinstance(error, DBAPIError) else error
    log.warning("database unavailable", error=type(cause).__name__)
    return unavailable("database_unavailable", "The database gave no answer.").response()


def _from_bug(error: Exception) -> Response:
    log.error("unhandled error", exc_info=error)
    return Problem(500, "internal_error", "Something went wrong on our side.").response()
