"""Pages of other sites that may call the api from a browser (https://fetch.spec.whatwg.org).

The api knows its callers by the Authorization header alone, which a page sets itself, so no answer
ever allows credentials: a browser adds none of its own to a request.
"""

from flask import Flask, Response, request

from docmill_api.current import resources_of

_METHODS = "GET, POST, PUT, PATCH, DELETE"
_REQUEST_HEADERS = "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, X-Request-ID"
_EXPOSED = (
    "X-Request-ID, Location, ETag, Retry-After, RateLimit, RateLimit-Policy, WWW-Authenticate"
)
#: How long a browser need not ask again; Chromium keeps it no longer.
_MAX_AGE_SECONDS = 7200


def register(app: Flask) -> None:
    """Answer preflights, before anything else looks at them, and mark the other answers."""
    allowed = resources_of(app).settings.allowed_origins

    def answer_preflight() -> Response | None:
        asked = request.headers.get("Access-Control-Request-Method")
        if request.method != "OPTIONS" or asked is None or "Origin" not in request.headers:
            return None
        response = Response(status=204)
        del response.headers["Content-Type"]
        response.headers["Access-Control-Allow-Methods"] = _METHODS
        response.headers["Access-Control-Allow-Headers"] = _REQUEST_HEADERS
        response.headers["Access-Control-Max-Age"] = str(_MAX_AGE_SECONDS)
        return response

    def mark(response: Response) -> Response:
        # Also where there is no Origin: a cache must not give that answer to another site's page.
        response.vary.add("Origin")
        origin = request.headers.get("Origin", "")
        if "*" in allowed:
            response.headers["Access-Control-Allow-Origin"] = "*"
        elif origin in allowed:
            response.headers["Access-Control-Allow-Origin"] = origin
        else:
            return response
        response.headers["Access-Control-Expose-Headers"] = _EXPOSED
        return response

    if allowed:
        app.before_request(answer_preflight)
        app.after_request(mark)
