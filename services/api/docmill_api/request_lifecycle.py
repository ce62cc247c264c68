"""What happens around every request: its id, its log line, the form of its body, its headers."""

import re
import time
from uuid import uuid4

import structlog
from flask import Flask, Response, current_app, g, request
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType

from docmill_api import metrics
from docmill_api.problems import Problem, invalid
from docmill_shared.observability import get_logger

REQUEST_ID_HEADER = "X-Request-ID"
#: Beyond any body of this api, which takes no files.
MAX_BODY_BYTES = 1024**2

#: A client's own id goes into log lines and back into a header, so it must be harmless in both.
_GOOD_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
#: Asked every few seconds by a cluster; not worth a line each.
_QUIET = frozenset({"/healthz", "/readyz"})
_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})

log = get_logger("docmill_api.access")


def register(app: Flask) -> None:
    """Attach all of it to the app."""
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.before_request(_begin)
    app.after_request(_finish)


def _begin() -> None:
    wished = request.headers.get(REQUEST_ID_HEADER, "")
    g.request_id = wished if _GOOD_REQUEST_ID.fullmatch(wished) else uuid4().hex
    g.started = time.perf_counter()
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=g.request_id)


def require_json_object() -> None:
    """Before a route that reads a body: refuse one that is not JSON, or JSON but no object."""
    if request.method not in {"POST", "PUT", "PATCH", "DELETE"} or request.endpoint is None:
        return
    reads_body = "body" in getattr(
        current_app.view_functions[request.endpoint], "__annotations__", {}
    )
    if not reads_body:
        return
    if request.content_length is None and len(request.get_data()) >= MAX_BODY_BYTES:
        # Of a body in chunks werkzeug keeps what fits, and would take that for the whole.
        raise RequestEntityTooLarge
    try:
        body = request.get_json()
    except UnsupportedMediaType:
        raise Problem(
            415, "unsupported_media_type", "Send the body as Content-Type: application/json."
        ) from None
    except (BadRequest, RecursionError):
        raise Problem(400, "malformed_json", "The body is not valid JSON.") from None
    if not isinstance(body, dict):
        raise invalid("", "The body must be a JSON object.")


def _finish(response: Response) -> Response:
    response.headers[REQUEST_ID_HEADER] = g.request_id
    seconds = time.perf_counter() - g.started
    # Never the path itself: whoever calls could make a series of each.
    route = "none" if request.url_rule is None else request.url_rule.rule
    method = request.method if request.method in _METHODS else "other"
    metrics.REQUESTS.labels(method, route, response.status_code).inc()
    metrics.REQUEST_SECONDS.labels(method, route).observe(seconds)
    if request.path not in _QUIET:
        log.info(
            "request",
            method=request.method,
            path=request.path,
            status=response.status_code,
            ms=round(seconds * 1000, 1),
        )
    return response
