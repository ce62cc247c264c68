"""The api as one account sees it: calls with a token, lists page by page, streams."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from docmill_client.answers import Json
from docmill_client.authorization import Authorization
from docmill_client.errors import Unauthorized
from docmill_client.transport import Call, Transport

_PAGE = 200  # the most that a list gives at once


class Api:
    """Used by several threads at once."""

    def __init__(self, transport: Transport, authorization: Authorization) -> None:
        self.transport = transport
        self._authorization = authorization

    def call(self, call: Call) -> Json:
        """What the api answers; asked once more with another token when this one has expired."""
        token = self._authorization.token()
        try:
            return self.transport.call(call, token)
        except Unauthorized:
            other = self._authorization.instead_of(token)
            if other is None:
                raise
        return self.transport.call(call, other)

    def get(self, path: str, **parameters: Any) -> Json:
        """What a GET answers."""
        return self.call(Call("GET", path, parameters=parameters, repeatable=True))

    def pages(self, path: str, **filters: Any) -> Iterator[Json]:
        """What a list has; the next page is asked for when it is reached."""
        cursor: str | None = None
        while True:
            parameters = {"limit": _PAGE, **filters}
            if cursor is not None:
                parameters["cursor"] = cursor
            page = self.get(path, **parameters)
            yield from page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    @contextmanager
    def stream(self, path: str, headers: Mapping[str, str]) -> Iterator[Iterator[bytes] | None]:
        """As :meth:`Transport.stream`; opened with another token when this one has expired."""
        token = self._authorization.token()
        opened = False
        try:
            with self.transport.stream(path, headers, token) as blocks:
                opened = True
                yield blocks
                return
        except Unauthorized:
            other = None if opened else self._authorization.instead_of(token)
            if other is None:
                raise
        with self.transport.stream(path, headers, other) as blocks:
            yield blocks
