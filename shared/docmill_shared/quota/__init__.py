"""One quota for all pods: what a provider allows per minute, and the pauses that it asks for.

An exact moving window in Redis, by the server's clock, over calls, texts and tokens at once: either
a batch fits into all of them or none is charged. A pause that one worker was told of (429 with
RetryInfo or Retry-After) holds for everyone.
"""

import time
from importlib.resources import files

import redis

from docmill_shared.observability import get_logger

_log = get_logger(__name__)

#: A little over a minute: the provider stamps a call when it arrives, not when we decide on it.
WINDOW_MS = 61_000
_WARN_EVERY_SECONDS = 60.0


class ProviderQuota:
    """What may still be asked of one provider. Thread-safe.

    A limit that is None is not kept; the provider's own answers then say when to wait. Without
    Redis nothing is limited, for the same reason.
    """

    def __init__(
        self,
        client: redis.Redis,
        provider: str,
        *,
        calls_per_minute: int | None = None,
        texts_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        window_ms: int = WINDOW_MS,
    ) -> None:
        self._prefix = f"docmill:quota:{provider}"
        self._limits = (calls_per_minute, texts_per_minute, tokens_per_minute)
        self._window_ms = window_ms
        folder = files("docmill_shared.quota")
        self._spend = client.register_script((folder / "spend.lua").read_text())
        self._pause = client.register_script((folder / "pause.lua").read_text())
        self._warned_at = 0.0

    def spend(self, *, texts: int, tokens: int) -> float:
        """Charge one call with so many texts and tokens; 0 if it was charged.

        Otherwise the seconds after which to ask again: nothing was charged.
        """
        arguments: list[int | str] = [self._window_ms]
        for name, limit, cost in zip(
            ("calls", "texts", "tokens"), self._limits, (1, texts, tokens), strict=True
        ):
            if limit is not None:
                # What could never fit would wait for ever; alone in its window it may pass.
                arguments += [name, limit, min(cost, limit)]
        try:
            return int(self._spend(keys=[self._prefix], args=arguments)) / 1000
        except redis.RedisError as error:
            self._warn(error)
            return 0.0

    def pause(self, seconds: float) -> None:
        """Nobody calls the provider for so long; a longer pause that holds already stays."""
        try:
            self._pause(keys=[self._prefix], args=[max(int(seconds * 1000), 1)])
        except redis.RedisError as error:
            self._warn(error)

    def _warn(self, error: Exception) -> None:
        if time.monotonic() - self._warned_at > _WARN_EVERY_SECONDS:
            self._warned_at = time.monotonic()
            _log.warning("the quota is not kept while Redis is away", error=str(error))
