"""A client of docmill's API, as any program could have it: httpx and public routes only.

Used by the ``docmill`` command, the demo and the corpus check. Whatever goes wrong raises
:class:`ApiError` (the API refused) or :class:`Unreachable` (nobody answered); the message of
either is a sentence for a person. Not for several threads at once.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import Any, Self

import httpx

from docmill_dev.answers import Chunk, File, Found, Json

#: Bytes that were sent of how many.
OnProgress = Callable[[int, int], None]
#: The files that are waited for, as they are now.
OnLook = Callable[[list[File]], None]

_BLOCK = 256 * 1024
_PAGE = 200  # the most that a list gives at once
_ATTEMPTS = 4
_PASSING = frozenset({502, 503, 504})
_POLL_FIRST, _POLL_MOST = 0.1, 1.0
# The proxy of the user's shell must not be asked for loopback addresses.
_DIRECT = {f"all://{host}": None for host in ("127.0.0.1", "localhost", "[::1]")}


class ClientError(Exception):
    """A request came to nothing; the message is for the person at the keyboard."""


class Unreachable(ClientError):
    """Nobody answered."""


class ApiError(ClientError):
    """The API refused; ``code`` is for programs."""

    def __init__(self, code: str, detail: str, status: int) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.status = status


class Client:
    """One account's view of one docmill."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url.rstrip("/")
        self._http = httpx.Client(timeout=httpx.Timeout(60.0, connect=5.0), mounts=_DIRECT)
        self._login: tuple[str, str] | None = None
        self._token: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give its connections back."""
        self._http.close()

    def register(self, email: str, password: str) -> None:
        """Make an account; raises ApiError ``email_taken`` if there is one."""
        self._once("POST", "/v1/auth/register", json={"email": email, "password": password})

    def log_in(self, email: str, password: str) -> None:
        """Act as this account from now on; an access token that expires is replaced."""
        self._token = None
        credentials = {"email": email, "password": password}
        self._token = self._once("POST", "/v1/auth/login", json=credentials)["access_token"]
        self._login = (email, password)

    def upload(
        self,
        path: Path,
        media_type: str | None = None,
        visibility: str = "private",
        on_progress: OnProgress | None = None,
    ) -> File:
        """Reserve, send the bytes to the object store, confirm; the file as it is then.

        The file is read as it is sent, never whole. ``media_type`` None: the API guesses it from
        the name.

        Raises:
            OSError: ``path`` cannot be read.
        """
        size = path.stat().st_size
        wish = {"name": path.name, "size_bytes": size, "visibility": visibility}
        if media_type is not None:
            wish["media_type"] = media_type
        reserved = self._authorized(self._once, "POST", "/v1/files", json=wish)
        file_id, target = reserved["file"]["id"], reserved["upload"]
        self._put(path, size, target, on_progress or (lambda sent, total: None))
        return File.of(self._authorized(self._repeat, "POST", f"/v1/files/{file_id}/confirm"))

    def wait(
        self,
        file_ids: Collection[str],
        on_look: OnLook | None = None,
        timeout: float = 3_600.0,
    ) -> dict[str, File]:
        """The files by id once none changes any more by itself.

        One request per look, however many files, and in the long run one look per second. A file
        that vanished (its bytes were never there) is missing from the answer.

        Raises:
            TimeoutError: after ``timeout`` seconds.
        """
        deadline = monotonic() + timeout
        pause = _POLL_FIRST
        before: set[tuple[str, str]] = set()
        while True:
            found = self._look_for(set(file_ids))
            if on_look is not None:
                on_look(list(found.values()))
            unfinished = [file for file in found.values() if not file.is_final]
            if not unfinished:
                return found
            if monotonic() > deadline:
                raise TimeoutError(f"{unfinished[0].name} was not finished in {timeout:g} s.")
            # Quick while files come and go, cheap while a large one takes its time.
            now = {(file.id, file.status) for file in found.values()}
            pause = _POLL_FIRST if now != before else min(pause * 1.25, _POLL_MOST)
            before = now
            sleep(pause)

    def file(self, file_id: str) -> File:
        """One file."""
        return File.of(self._authorized(self._repeat, "GET", f"/v1/files/{file_id}"))

    def files(self) -> Iterator[File]:
        """The account's files, newest first."""
        return (File.of(each) for each in self.pages("/v1/files"))

    def chunks(self, file_id: str) -> Iterator[Chunk]:
        """The passages of a file, in order."""
        return (Chunk.of(each) for each in self.pages(f"/v1/files/{file_id}/chunks"))

    def search(self, query: str, limit: int = 5, mode: str = "hybrid") -> Found:
        """The passages that answer ``query``."""
        wish = {"query": query, "limit": limit, "mode": mode}
        return Found.of(self._authorized(self._repeat, "POST", "/v1/search", json=wish))

    @property
    def email(self) -> str:
        """The account that is logged in."""
        return self._login[0] if self._login else ""

    def ask(self, path: str, **parameters: object) -> Json:
        """What a GET answers."""
        return self._authorized(self._repeat, "GET", path, params=parameters)

    def order(self, method: str, path: str, body: Json | None = None) -> Json:
        """What another request answers; it is sent once."""
        return self._authorized(self._once, method, path, json=body)

    def _look_for(self, wanted: set[str]) -> dict[str, File]:
        """The wanted files; reads no further into the list than it must."""
        found: dict[str, File] = {}
        for file in self.files():
            if file.id in wanted:
                found[file.id] = file
                if len(found) == len(wanted):
                    break
        return found

    def pages(self, path: str, **filters: object) -> Iterator[Json]:
        """What a list has; the next page is asked for when it is reached."""
        cursor: str | None = None
        while True:
            parameters: dict[str, Any] = {"limit": _PAGE, **filters}
            if cursor is not None:
                parameters["cursor"] = cursor
            page = self._authorized(self._repeat, "GET", path, params=parameters)
            yield from page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def _put(
        self, path: Path, size: int, target: Mapping[str, Any], on_progress: OnProgress
    ) -> None:
        headers = {**target["headers"], "Content-Length": str(size)}

        def send() -> httpx.Response:
            # A new reader for each attempt, so that a repeated one starts at the first byte.
            body = _blocks(path, size, on_progress)
            try:
                return self._http.put(target["url"], content=body, headers=headers)
            except httpx.LocalProtocolError:
                raise ClientError(f"{path.name} changed while it was uploaded.") from None

        response = _with_attempts(send)
        if not response.is_success:
            raise ApiError(
                "upload_refused",
                f"The object store refused the upload (status {response.status_code}).",
                response.status_code,
            )

    def _authorized(
        self, request: Callable[..., Json], method: str, path: str, **options: Any
    ) -> Json:
        """The request with the token, and once more with a new one if it had expired."""
        try:
            return request(method, path, **options)
        except ApiError as error:
            if error.status != 401 or self._login is None:
                raise
            self.log_in(*self._login)
            return request(method, path, **options)

    def _repeat(self, method: str, path: str, **options: Any) -> Json:
        """For requests that do the same however often they arrive."""
        return _body(_with_attempts(lambda: self._send(method, path, **options)))

    def _once(self, method: str, path: str, **options: Any) -> Json:
        """For requests that must not arrive twice."""
        try:
            return _body(self._send(method, path, **options))
        except httpx.TransportError as error:
            raise _unreachable(error, self.base_url) from None

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        return self._http.request(method, self.base_url + path, headers=headers, **options)


def _with_attempts(send: Callable[[], httpx.Response]) -> httpx.Response:
    """The first answer that is not of a passing kind; the last one if all are."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            response = send()
        except httpx.TransportError as error:
            if attempt == _ATTEMPTS:
                raise _unreachable(error, str(error.request.url)) from None
        else:
            if response.status_code not in _PASSING or attempt == _ATTEMPTS:
                return response
        sleep(0.2 * 2**attempt)
    raise AssertionError("the last attempt returns or raises")


def _blocks(path: Path, size: int, on_progress: OnProgress) -> Iterator[bytes]:
    """The file's first ``size`` bytes; what was promised is sent even if the file grows."""
    sent = 0
    with path.open("rb") as file:
        while sent < size and (block := file.read(min(_BLOCK, size - sent))):
            yield block
            sent += len(block)
            on_progress(sent, size)


def _body(response: httpx.Response) -> Json:
    try:
        body = response.json() if response.content else {}
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise ClientError(f"{response.url.host} answered, but it does not seem to be docmill.")
    if response.is_success:
        return body
    detail = str(body.get("detail") or f"The API answered with status {response.status_code}.")
    raise ApiError(str(body.get("code", "unknown")), detail, response.status_code)


def _unreachable(error: httpx.TransportError, address: str) -> Unreachable:
    parts = httpx.URL(address)
    where = f"{parts.scheme}://{parts.netloc.decode()}"
    if isinstance(error, httpx.TimeoutException):
        return Unreachable(f"{where} gave no answer in time.")
    return Unreachable(f"Nothing answers at {where}.")
