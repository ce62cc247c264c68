"""What ``take.lua`` does, in this process: for when Redis is away."""

import time
from collections.abc import Callable, Sequence
from threading import Lock

from docmill_api.rates import Rate

#: About 10 MB of keys. More than this only a flood from very many addresses brings about.
MOST_KEYS = 50_000


class MemoryLimits:
    """Limits of one process, exact among its threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        #: By key, when the limit will be whole again, in microseconds.
        self._whole: dict[str, int] = {}

    def take(self, limits: Sequence[tuple[str, Rate]]) -> list[tuple[int, int, int]]:
        """Take one request from every limit, or from none; the same answer as of the script."""
        with self._lock:
            now = int(self._clock() * 1_000_000)
            places = []
            for key, rate in limits:
                window = rate.seconds * 1_000_000
                interval = window // rate.count
                whole = max(self._whole.get(key, 0), now)
                places.append(
                    (key, whole, interval, window, max(whole + interval - window - now, 0))
                )
            fits = all(wait == 0 for *_, wait in places)
            answer = []
            for key, before, interval, window, wait in places:
                whole = before + interval if fits else before
                if fits:
                    self._whole[key] = whole
                used = whole - now
                answer.append((wait, (window - used) // interval, used))
            if len(self._whole) > MOST_KEYS:
                self._forget(now)
            return answer

    def _forget(self, now: int) -> None:
        """Drop what is whole again; if that is too little, the half that will be soonest."""
        kept = {key: whole for key, whole in self._whole.items() if whole > now}
        if len(kept) > MOST_KEYS // 2:
            latest = sorted(kept, key=kept.__getitem__)[-(MOST_KEYS // 2) :]
            kept = {key: kept[key] for key in latest}
        self._whole = kept
