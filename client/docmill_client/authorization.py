"""The token that goes with a request: one that was given, or that of a login."""

import threading
from typing import Protocol

from docmill_client.errors import ApiError, Unreachable
from docmill_client.transport import Call, Transport


class Authorization(Protocol):
    """Where the token comes from. May be asked by several threads at once."""

    def token(self) -> str:
        """The token to send."""
        ...

    def instead_of(self, refused: str) -> str | None:
        """Another token, when this one was refused; None if there is no other."""
        ...


class GivenToken:
    """An API key or an access token."""

    def __init__(self, token: str) -> None:
        self._token = token

    def token(self) -> str:
        return self._token

    def instead_of(self, refused: str) -> str | None:
        return None


class Login:
    """An account: logs in when it is first needed, and refreshes what expires."""

    def __init__(self, transport: Transport, email: str, password: str) -> None:
        self.email = email
        self._transport = transport
        self._password = password
        self._access: str | None = None
        self._refresh: str | None = None
        self._lock = threading.Lock()

    def register(self) -> None:
        """Make the account."""
        self._post("/v1/auth/register", email=self.email, password=self._password)

    def log_in(self) -> None:
        """Start a new session."""
        with self._lock:
            self._log_in()

    def log_out(self) -> None:
        """End the session, if there is one; its tokens are refused from now on."""
        with self._lock:
            access, self._access, self._refresh = self._access, None, None
        if access is None:
            return
        try:
            self._transport.call(Call("POST", "/v1/auth/logout"), access)
        except ApiError as error:
            if error.status != 401:  # it has expired, and with it what could be ended by it
                raise

    def token(self) -> str:
        with self._lock:
            return self._access or self._log_in()

    def instead_of(self, refused: str) -> str | None:
        with self._lock:
            if self._access is not None and self._access != refused:
                return self._access  # another thread was faster
            return self._refreshed() or self._log_in()

    def _log_in(self) -> str:
        return self._take(self._post("/v1/auth/login", email=self.email, password=self._password))

    def _refreshed(self) -> str | None:
        refresh, self._refresh = self._refresh, None
        if refresh is None:
            return None
        try:
            # Sent once and used once: one that comes a second time counts as stolen.
            return self._take(self._post("/v1/auth/refresh", refresh_token=refresh))
        except (ApiError, Unreachable):
            return None  # the password is still there

    def _take(self, pair: dict[str, str]) -> str:
        self._access, self._refresh = pair["access_token"], pair.get("refresh_token")
        return self._access

    def _post(self, path: str, **body: str) -> dict[str, str]:
        return self._transport.call(Call("POST", path, body=body), None)
