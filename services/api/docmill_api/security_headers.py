"""Headers by which browsers do with an answer nothing that it is not meant for."""

from flask import Flask, Response, request

#: Of JSON: it shows nothing, loads nothing, and stands in nobody's frame. The page of the
#: documentation brings its own.
_NOTHING = "default-src 'none'; frame-ancestors 'none'"
#: Two years: https://hstspreload.org asks for one at least.
_HSTS = "max-age=63072000; includeSubDomains"


def register(app: Flask) -> None:
    """Put them on every answer of this app."""
    app.after_request(_add)


def _add(response: Response) -> Response:
    headers = response.headers
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Referrer-Policy"] = "no-referrer"
    headers["Cross-Origin-Resource-Policy"] = "same-origin"
    headers.setdefault("Content-Security-Policy", _NOTHING)
    # Answers hold tokens and other people's names: no cache between us and the caller may keep one.
    headers.setdefault("Cache-Control", "no-store")
    # Over http it means nothing, and on a machine of one's own it would be a nuisance.
    if request.is_secure:
        headers["Strict-Transport-Security"] = _HSTS
    return response
