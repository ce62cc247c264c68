"""One call of a webhook's target: to a public address that was checked, bounded in every way.

The name is resolved once and the connection goes to the very address that was checked, so a name
that changes its answer in between gains nothing; TLS and ``Host`` go by the name. No redirect is
followed and no proxy is asked. Nothing of the answer but its status and ``Retry-After`` is kept.
"""

import contextlib
import email.utils
import io
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException, HTTPMessage

from docmill_shared.webhooks import targets
from docmill_shared.webhooks.targets import Target, TargetRefused

#: From the first byte that is sent to the last one that is read.
SECONDS = 10.0
#: A longer answer is cut off.
MOST_BYTES = 64 * 1024
#: Addresses of one name that are tried.
_ADDRESSES = 4

#: The addresses of a name. Raises OSError.
Resolve = Callable[[str, int], list[str]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a call."""

    status: int | None  #: of HTTP; None: there was no answer
    error: str | None  #: a sentence for the webhook's owner; None: it was taken
    seconds: float
    retry_after: float | None = None  #: the target's wish, in seconds
    refused: bool = False  #: nothing was sent, since the target is not a public one


def resolve(host: str, port: int) -> list[str]:
    """By the system's resolver, which has time-outs of its own."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class WebhookCaller:
    """Makes calls; thread-safe."""

    def __init__(
        self,
        *,
        allow_private: bool,
        resolve: Resolve = resolve,
        tls: ssl.SSLContext | None = None,
        seconds: float = SECONDS,
    ) -> None:
        self._allow_private = allow_private
        self._resolve = resolve
        self._tls = tls or ssl.create_default_context()
        self._seconds = seconds

    def post(self, url: str, content: bytes, headers: Mapping[str, str]) -> Answer:
        """POST this; never raises for the target's sake."""
        began = time.monotonic()
        status, retry_after, refused = None, None, False
        error: str | None
        try:
            target = targets.parse(url, allow_private=self._allow_private)
            addresses = self._addresses(target)
            deadline = time.monotonic() + self._seconds
            status, answered = self._exchange(target, addresses, content, headers, deadline)
            error = _judged(status)
            retry_after = _seconds_of(answered.get("Retry-After"))
        except TargetRefused as refusal:
            error, refused = str(refusal), True
        except (OSError, HTTPException, UnicodeError) as failure:
            error = _sentence(failure)
        return Answer(status, error, time.monotonic() - began, retry_after, refused)

    def _addresses(self, target: Target) -> list[str]:
        if target.is_address:
            return [target.host]  # checked with the URL
        addresses = self._resolve(target.host, target.port)
        if not self._allow_private:
            targets.require_public(addresses)
        return addresses[:_ADDRESSES]

    def _exchange(
        self,
        target: Target,
        addresses: list[str],
        content: bytes,
        headers: Mapping[str, str],
        deadline: float,
    ) -> tuple[int, HTTPMessage]:
        with contextlib.closing(_connect(addresses, target.port, deadline)) as plain:
            plain.settimeout(_left(deadline))
            secured = (
                self._tls.wrap_socket(plain, server_hostname=target.host) if target.https else plain
            )
            with contextlib.closing(secured):
                connection = HTTPConnection(target.host, target.port)
                connection.default_port = 443 if target.https else 80
                connection.auto_open = 0
                connection.sock = _Bounded(secured, deadline)
                connection.request("POST", target.path, content, dict(headers))
                response = connection.getresponse()
                # Read politely, so that the target does not see a reset; it counts for nothing.
                with contextlib.suppress(OSError, HTTPException):
                    response.read(MOST_BYTES)
                return response.status, response.headers


class _Bounded:
    """As much of a socket as ``http.client`` uses, none of it later than a deadline.

    A socket's own time-out is for each read, and a target may send a byte now and then for ever.
    """

    def __init__(self, inner: socket.socket, deadline: float) -> None:
        self._inner = inner
        self._deadline = deadline

    def sendall(self, content: bytes) -> None:
        self._inner.settimeout(_left(self._deadline))
        self._inner.sendall(content)

    def makefile(self, _: str) -> io.BufferedReader:
        return io.BufferedReader(_BoundedReader(self._inner, self._deadline))

    def close(self) -> None:
        """Left to whoever opened it: an answer is still read after ``http.client`` closes."""


class _BoundedReader(io.RawIOBase):
    def __init__(self, inner: socket.socket, deadline: float) -> None:
        self._inner = inner
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        self._inner.settimeout(_left(self._deadline))
        return self._inner.recv_into(buffer)


def _connect(addresses: list[str], port: int, deadline: float) -> socket.socket:
    """To the first that answers; each has its share of the time that is left."""
    failure: OSError = OSError("no address")
    for place, address in enumerate(addresses):
        share = _left(deadline) / (len(addresses) - place)
        try:
            return socket.create_connection((address, port), timeout=share)
        except OSError as error:
            failure = error
    raise failure


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _judged(status: int) -> str | None:
    if 200 <= status < 300:
        return None
    if 300 <= status < 400:
        return f"The target answered {status}, and redirects are not followed."
    return f"The target answered {status}."


def _sentence(failure: Exception) -> str:
    """By its kind: never the system's own words, which can name addresses."""
    if isinstance(failure, TimeoutError):
        return "The target did not answer in time."
    if isinstance(failure, socket.gaierror | UnicodeError):
        return "The host's name could not be resolved."
    if isinstance(failure, ssl.SSLCertVerificationError):
        return f"The target's certificate is not valid: {failure.verify_message}."
    if isinstance(failure, ssl.SSLError):
        return "No TLS connection could be made."
    if isinstance(failure, ConnectionRefusedError):
        return "The target refused the connection."
    if isinstance(failure, HTTPException):
        return "The target did not answer in HTTP."
    return "The target could not be reached, or ended the connection."


def _seconds_of(retry_after: str | None) -> float | None:
    """``Retry-After`` in seconds or as a date (RFC 9110, 10.2.3); None when it says nothing."""
    if retry_after is None:
        return None
    if retry_after.strip().isdecimal() and len(retry_after) < 10:
        return float(retry_after)
    try:
        date = email.utils.parsedate_to_datetime(retry_after)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
