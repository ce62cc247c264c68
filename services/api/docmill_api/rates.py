"""Rates as people write them: ``10/minute``, ``5/15 minutes``, ``off``."""

import re
from dataclasses import dataclass
from functools import lru_cache

_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
_FORM = re.compile(
    r"([1-9]\d{0,8})\s*/\s*(?:([1-9]\d{0,3})\s*)?(second|minute|hour|day)s?", re.ASCII
)
_NONE = "off"


@dataclass(frozen=True, slots=True)
class Rate:
    """So many at once, and as many again over the window that follows."""

    count: int
    seconds: int  #: the window


@lru_cache(64)
def parse(text: str) -> Rate | None:
    """The rate that this says; None for ``off``.

    Raises:
        ValueError: says what a rate looks like.
    """
    lowered = text.strip().lower()
    if lowered == _NONE:
        return None
    found = _FORM.fullmatch(lowered)
    if found is None:
        raise ValueError("must be a rate such as 10/minute or 5/15 minutes, or off")
    count, number, unit = found.groups()
    return Rate(int(count), int(number or 1) * _SECONDS[unit])
