"""Which scope an API key needs: the blueprint says which area it is, the method does the rest."""

from typing import Literal

from docmill_shared.api_keys import KeyScope

#: What a blueprint's routes are about; None: no API key may call them.
Area = Literal["files", "search", "webhooks"]

_READING = frozenset({"GET", "HEAD", "OPTIONS"})


def needed(area: Area, method: str) -> KeyScope:
    """The scope for a request with this method."""
    if area == "files":
        return KeyScope.FILES_READ if method.upper() in _READING else KeyScope.FILES_WRITE
    return KeyScope.SEARCH if area == "search" else KeyScope.WEBHOOKS
