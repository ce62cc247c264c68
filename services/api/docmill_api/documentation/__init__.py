"""``/openapi.json``, made once per process, and ``/docs``, a page that shows it without internet.

The page is Swagger UI from the wheel ``flask-openapi3-swagger``; everything it loads comes from
here. Its policy lets it run these scripts and call this api, and nothing else.
"""

import gzip
import json
from functools import cache
from importlib.resources import files
from typing import Any

from flask import Blueprint, Response, request
from flask_openapi3.openapi import OpenAPI

from docmill_api.answers import problems
from docmill_api.rate_limits import count_anonymous

#: Swagger UI styles elements by attribute, and its icons are data: URLs in its style sheet.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_OURS = files("docmill_api.documentation")
_SWAGGER = files("flask_openapi3_swagger") / "templates" / "swagger"
#: By path: the file and its type.
_FILES = {
    "/docs": (_OURS / "page.html", "text/html"),
    "/docs/start.js": (_OURS / "start.js", "text/javascript"),
    "/docs/swagger-ui.css": (_SWAGGER / "css" / "swagger-ui.css", "text/css"),
    "/docs/swagger-ui-bundle.js": (_SWAGGER / "js" / "swagger-ui-bundle.js", "text/javascript"),
}

_OF_BODIES = problems(
    _400="Malformed JSON.",
    _413="`body_too_large`",
    _415="Not JSON.",
    _422="`validation_failed`: `errors` names the fields.",
)
_OF_QUERIES = problems(_414="`uri_too_long`")


class Document:
    """Bytes that stay the same, for clients that may have them already."""

    def __init__(self, content: bytes, mimetype: str) -> None:
        self._compressed = gzip.compress(content, mtime=0)
        self._content = content
        self._mimetype = mimetype

    def answer(self) -> Response:
        """The document, or 304 to whoever names its ETag."""
        accepts = request.accept_encodings.quality("gzip") > 0
        response = Response(self._compressed if accepts else self._content, mimetype=self._mimetype)
        if accepts:
            response.headers["Content-Encoding"] = "gzip"
        response.vary.add("Accept-Encoding")
        response.add_etag()
        # Nobody's secret; asked for again each time, since a new release changes it.
        response.cache_control.no_cache = True
        response.cache_control.public = True
        response.make_conditional(request)
        del response.headers["Date"]  # the server adds its own
        return response


def _completed(document: dict[str, Any]) -> dict[str, Any]:
    """With what holds for every operation and needs no word in each route."""
    for operation in (each for item in document["paths"].values() for each in item.values()):
        responses = operation["responses"]
        if "requestBody" in operation:
            for status, response in _OF_BODIES.items():
                responses.setdefault(str(status), response)
        if any(parameter["in"] == "query" for parameter in operation.get("parameters", ())):
            responses.setdefault("414", _OF_QUERIES[414])
        if "rate_limited" not in responses["429"]["description"]:
            # A route has another reason for this status, and its description replaced the usual.
            responses["429"]["description"] += " Or `rate_limited`."
        responses["429"]["headers"] = {
            "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}
        }
    return document


def register(app: OpenAPI) -> None:
    """Add the document and the page to this app, whose routes are all there by now."""
    blueprint = Blueprint("documentation", __name__)
    blueprint.before_request(count_anonymous)

    @cache
    def document(path: str) -> Document:
        if path == "/openapi.json":
            return Document(json.dumps(_completed(app.api_doc)).encode(), "application/json")
        file, mimetype = _FILES[path]
        return Document(file.read_bytes(), mimetype)

    def show() -> Response:
        response = document(request.path).answer()
        if request.path == "/docs":
            response.headers["Content-Security-Policy"] = _POLICY
        return response

    for path in ("/openapi.json", *_FILES):
        blueprint.add_url_rule(path, endpoint=path.strip("/").replace(".", "_"), view_func=show)
    app.register_blueprint(blueprint)
