"""Requests to one docmill and their answers: time-outs, repetition, errors.

The only module that speaks HTTP. It may be used by several threads at once.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import httpx

from docmill_client.answers import Json
from docmill_client.errors import (
    ApiError,
    DocmillError,
    DownloadRefused,
    NotDocmill,
    TimedOut,
    Unreachable,
    of_status,
)
from docmill_client.retries import Retries, retry_after

#: Seconds: for a connection, and between two bytes of an answer.
CONNECT_SECONDS = 5.0
# The proxy of the user's shell must not be asked for loopback addresses.
_DIRECT = {f"all://{host}": None for host in ("127.0.0.1", "localhost", "[::1]")}


@dataclass(frozen=True, slots=True)
class Call:
    """A request to the api."""

    method: str
    path: str
    body: Json | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    #: Whether it does the same however often it arrives, so that it may be sent again.
    repeatable: bool = False


class Transport:
    """One docmill and its object store, over HTTP."""

    def __init__(self, url: str, *, timeout: float, retries: Retries) -> None:
        self.url = url.rstrip("/")
        self.retries = retries
        self._timeout = httpx.Timeout(timeout, connect=min(timeout, CONNECT_SECONDS))
        self._http = httpx.Client(
            timeout=self._timeout,
            mounts=_DIRECT,
            headers={"User-Agent": f"docmill-client/{version('docmill-client')}"},
        )

    def close(self) -> None:
        """Give its connections back."""
        self._http.close()

    def call(self, call: Call, token: str | None) -> Json:
        """What the api answers.

        Raises:
            DocmillError: it refused, or nobody answered.
        """

        def send() -> httpx.Response:
            return self._http.request(
                call.method,
                self.url + call.path,
                json=call.body,
                params=call.parameters,
                headers={**call.headers, **_authorization(token)},
            )

        try:
            response = self.retries.send(send) if call.repeatable else send()
        except httpx.TransportError as error:
            raise unreachable(error, self.url) from None
        except UnicodeEncodeError:  # as in a file's name that is no text
            sentence = "The text that was to be sent is not valid Unicode."
            raise DocmillError(sentence, code="not_unicode") from None
        return _body(response)

    @contextmanager
    def stream(self, path: str, headers: Mapping[str, str], token: str | None) -> Iterator[Any]:
        """An answer that goes on: its blocks of bytes as they arrive; None if there is none.

        Raises:
            DocmillError: the api refused.
            httpx.TransportError: the connection failed or broke.
        """
        wanted = {**headers, **_authorization(token)}
        with self._http.stream("GET", self.url + path, headers=wanted) as response:
            if not response.is_success:
                response.read()
                raise _refusal(response)
            yield None if response.status_code == httpx.codes.NO_CONTENT else response.iter_bytes()

    def put(self, url: str, headers: Mapping[str, str], blocks: Any) -> httpx.Response:
        """Send blocks of bytes to the object store, which never gets to see the token.

        ``blocks`` is a function: each attempt asks it for the bytes from their beginning.

        Raises:
            Unreachable: no attempt got an answer.
        """
        try:
            return self.retries.send(
                lambda: self._http.put(url, content=blocks(), headers=dict(headers))
            )
        except httpx.TransportError as error:
            raise unreachable(error, url) from None

    @contextmanager
    def download(self, url: str) -> Iterator[Iterator[bytes]]:
        """The bytes behind a presigned URL.

        Raises:
            DownloadRefused: the store refused.
            Unreachable: the connection failed.
        """
        try:
            with self._http.stream("GET", url) as response:
                if not response.is_success:
                    status = response.status_code
                    raise DownloadRefused(
                        f"The object store refused the download (status {status}).", status=status
                    )
                yield response.iter_bytes()
        except httpx.TransportError as error:
            raise unreachable(error, url) from None


def unreachable(error: httpx.TransportError, address: str) -> Unreachable:
    """The sentence for a connection that failed; it names the server and nothing of the path."""
    parts = httpx.URL(address)
    where = f"{parts.scheme}://{parts.netloc.decode()}"
    if isinstance(error, httpx.TimeoutException):
        return TimedOut(f"{where} gave no answer in time.")
    if isinstance(error, httpx.UnsupportedProtocol):
        return Unreachable(f"{address} is no address of a server; begin it with https://")
    return Unreachable(f"Nothing answers at {where}.")


def _authorization(token: str | None) -> dict[str, str]:
    return {} if token is None else {"Authorization": f"Bearer {token}"}


def _body(response: httpx.Response) -> Json:
    if not response.is_success:
        raise _refusal(response)
    body = _json(response) if response.content else {}
    if body is None:
        raise _not_docmill(response)
    return body


def _refusal(response: httpx.Response) -> DocmillError:
    body, status = _json(response), response.status_code
    if body is None and status < httpx.codes.INTERNAL_SERVER_ERROR:
        return _not_docmill(response)
    body = body or {}  # a proxy, for a docmill that is away
    kind: type[ApiError] = of_status(status)
    return kind(
        str(body.get("detail") or f"The API answered with status {status}."),
        code=str(body.get("code", "unknown")),
        status=status,
        request_id=body.get("request_id") or response.headers.get("X-Request-ID"),
        retry_after=retry_after(response),
        errors=body.get("errors") or (),
    )


def _not_docmill(response: httpx.Response) -> NotDocmill:
    return NotDocmill(
        f"{response.url.host} answered, but it does not seem to be docmill.",
        status=response.status_code,
    )


def _json(response: httpx.Response) -> Json | None:
    try:
        body = response.json()
    except ValueError:
        return None
    return body if isinstance(body, dict) else None
