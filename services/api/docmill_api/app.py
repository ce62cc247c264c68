"""The Flask app: blueprints, errors, request ids and the OpenAPI document, around resources."""

from importlib.metadata import version

from flask import Response
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.info import Info
from flask_openapi3.openapi import OpenAPI
from gunicorn.http.errors import ParseException
from werkzeug.middleware.proxy_fix import ProxyFix

from docmill_api import (
    cors,
    current,
    documentation,
    problems,
    rate_limits,
    request_lifecycle,
    security_headers,
)
from docmill_api.problems import Problem, ProblemDetails
from docmill_api.resources import Resources
from docmill_api.routes import BLUEPRINTS
from docmill_api.routes.blueprints import SECURITY_SCHEMES

_DESCRIPTION = """\
docmill turns uploaded files into searchable, cited passages.

- **Errors** are problem details (RFC 9457) with a stable `code` for programs and a sentence for
  people.
- **Requests** are named by `X-Request-ID` in every answer; yours is taken over if it is harmless.
- **Lists** come in pages: `next_cursor` of one is the `cursor` of the next, and null on the last.
- **Repeats** of what creates something are safe with an `Idempotency-Key`: the answer is the same.
- **Limits** are told by `RateLimit-Policy` (`q` requests at once, and as many again over `w`
  seconds) and `RateLimit` (`r` are left, all of them again in `t` seconds). Beyond them the answer
  is 429 `rate_limited`, with the seconds to wait in `Retry-After`.
"""


def create_app(resources: Resources) -> OpenAPI:
    """An app that works with these resources. Connects to nothing."""
    app = OpenAPI(
        "docmill_api",
        info=Info(title="docmill", version=version("docmill-api"), description=_DESCRIPTION),
        security_schemes=SECURITY_SCHEMES,
        validation_error_model=ProblemDetails,
        validation_error_callback=problems.from_validation,
        # flask-openapi3 documents this status, as an array of the model, wherever it is missing;
        # 500 never is. The routes that can answer 422 say so themselves.
        validation_error_status=500,
        doc_ui=False,
        static_folder=None,
    )
    current.attach(app, resources)
    _believe_proxies(app, resources.settings.trusted_proxies)
    # What is registered first looks at a request first, and at its answer last.
    app.wsgi_app = resources.request_slots.around(app.wsgi_app)  # type: ignore[assignment, method-assign]
    request_lifecycle.register(app)
    security_headers.register(app)
    cors.register(app)
    rate_limits.register(app)
    problems.register(app)
    app.register_error_handler(ParseException, _malformed)
    for blueprint in BLUEPRINTS:
        _document_beside_others(app, blueprint)
        app.register_api(blueprint)
    documentation.register(app)
    return app


def _document_beside_others(app: OpenAPI, blueprint: APIBlueprint) -> None:
    """Keep what other blueprints document at the same paths; flask-openapi3 would drop it."""
    for path, item in blueprint.paths.items():
        known = app.paths.get(path)
        if known is not None:
            for method in known.model_fields_set - item.model_fields_set:
                setattr(item, method, getattr(known, method))


def _malformed(_: ParseException) -> Response:
    """A body that gunicorn cannot read: its pieces are not as long as they say."""
    return Problem(400, "malformed_request", "The request is malformed.").response()


def _believe_proxies(app: OpenAPI, hops: int) -> None:
    """Take the client's address and scheme from what so many proxies have added, and no more.

    Without proxies the headers are left alone: whoever calls can send any.
    """
    if hops:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops)  # type: ignore[method-assign]
