"""What gunicorn itself answers, before any route is known: a problem, like every other refusal."""

import socket
from http import HTTPStatus

#: Of what a client can do something about; the rest is not HTTP as it should be.
_CODES = {
    414: ("uri_too_long", "The address is too long."),
    417: ("expectation_failed", "This Expect is not met."),
    431: ("headers_too_large", "The headers are too many or too long."),
    501: ("not_implemented", "This Transfer-Encoding is not known."),
    500: ("internal_error", "Something went wrong on our side."),
}
_HEADERS = (
    "Connection: close",
    "Cache-Control: no-store",
    "X-Content-Type-Options: nosniff",
    "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'",
)


def write_problem(client: socket.socket, status: int, reason: str, message: str) -> None:
    """In the place of gunicorn's ``write_error``, which answers HTML with parts of the request."""
    # Not above: gunicorn's configuration imports this, and must not bring the whole api with it.
    from docmill_api.problems import MEDIA_TYPE, ProblemDetails

    code, detail = _CODES.get(status, ("malformed_request", "The request is malformed."))
    phrase = HTTPStatus(status).phrase
    body = ProblemDetails(title=phrase, status=status, code=code, detail=detail)
    content = body.model_dump_json(exclude_none=True).encode()
    lines = (
        f"HTTP/1.1 {status} {phrase}",
        f"Content-Type: {MEDIA_TYPE}",
        f"Content-Length: {len(content)}",
        *_HEADERS,
    )
    # As gunicorn does: the socket may be one that does not wait, and this fits into its buffer.
    client.sendall("".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + content)
