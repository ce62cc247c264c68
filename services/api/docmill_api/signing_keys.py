"""The public keys of an identity provider: fetched when needed, kept for minutes, never asked for
more often than every few seconds, whatever strangers send.
"""

import threading
import time

import jwt
from jwt import PyJWK, PyJWKClient

from docmill_shared.observability import get_logger

#: The only algorithms: signed with a private key that nobody but the provider has.
ALGORITHMS = ("RS256", "ES256")
#: From this age on, keys are fetched again while the old ones go on serving...
_FRESH_SECONDS = 300.0
#: ... and with this age they are no longer believed.
_GOOD_SECONDS = 900.0
#: Between two fetches, also if the first of them failed.
_PAUSE_SECONDS = 10.0
_TIMEOUT_SECONDS = 3.0
_WAIT_SECONDS = 1.0

log = get_logger(__name__)


class KeysUnavailable(Exception):
    """The identity provider does not hand out its keys."""


class SigningKeys:
    """The keys behind one URL."""

    def __init__(self, url: str) -> None:
        # Its caches neither notice that a provider is away nor keep anybody from asking again.
        self._client = PyJWKClient(url, cache_jwk_set=False, timeout=_TIMEOUT_SECONDS)
        self._lock = threading.Lock()
        self._keys: dict[str, PyJWK] = {}
        self._fetched_at = self._tried_at = float("-inf")

    def find(self, key_id: str) -> PyJWK | None:
        """The key with this id; None when the provider has none.

        Raises:
            KeysUnavailable: what was fetched is too old to tell, and the provider does not answer.
        """
        key = self._keys.get(key_id)
        age = time.monotonic() - self._fetched_at
        if key is not None and age < _FRESH_SECONDS:
            return key
        # One request fetches. Others do not wait for it while they have a key, and without one not
        # for long: a provider that hangs must not hold every thread.
        wait = 0.0 if key is not None and age < _GOOD_SECONDS else _WAIT_SECONDS
        if self._lock.acquire(timeout=wait):
            try:
                self._fetch()
            finally:
                self._lock.release()
        elif wait:
            raise KeysUnavailable
        if time.monotonic() - self._fetched_at >= _GOOD_SECONDS:
            raise KeysUnavailable
        return self._keys.get(key_id)

    def _fetch(self) -> None:
        if time.monotonic() - self._tried_at < _PAUSE_SECONDS:
            return
        self._tried_at = time.monotonic()
        try:
            found = self._client.get_signing_keys()
        except (jwt.PyJWTError, ValueError, OSError) as error:
            log.warning("the identity provider's keys cannot be fetched", why=str(error))
            return
        self._keys = {str(each.key_id): each for each in found if _is_good(each)}
        self._fetched_at = time.monotonic()


def _is_good(key: PyJWK) -> bool:
    """Whether it is of a kind that this api takes, and long enough."""
    if key.algorithm_name not in ALGORITHMS:
        return False
    return key.Algorithm.check_key_length(key.key) is None
