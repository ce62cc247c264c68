"""Cursors: where the next page begins, opaque to clients."""

import base64
import binascii
import json
import math
from datetime import datetime
from uuid import UUID

from docmill_api.problems import Problem, invalid


def encode_place(created_at: datetime, file_id: UUID) -> str:
    """Behind this file of a list that is newest first."""
    return _encode([created_at.isoformat(), str(file_id)])


def decode_place(cursor: str) -> tuple[datetime, UUID]:
    """What ``encode_place`` was given; a :class:`Problem` when it is something else."""
    try:
        created_at, file_id = _decode(cursor)
        place = datetime.fromisoformat(str(created_at)), UUID(str(file_id))
    except (ValueError, TypeError):
        raise _wrong() from None
    if place[0].tzinfo is None:
        raise _wrong()
    return place


def encode_ordinal(ordinal: int) -> str:
    """Behind this chunk of a file."""
    return _encode([ordinal])


def decode_ordinal(cursor: str) -> int:
    """What ``encode_ordinal`` was given; a :class:`Problem` when it is something else."""
    try:
        (ordinal,) = _decode(cursor)
    except (ValueError, TypeError):
        raise _wrong() from None
    if type(ordinal) is not int or not 0 <= ordinal < 2**31:
        raise _wrong()
    return ordinal


def encode_death(died_ms: float, dead_id: str) -> str:
    """Behind this dead letter of a list that is newest first."""
    return _encode([died_ms, dead_id])


def decode_death(cursor: str) -> tuple[float, str]:
    """What ``encode_death`` was given; a :class:`Problem` when it is something else."""
    try:
        died_ms, dead_id = _decode(cursor)
    except (ValueError, TypeError):
        raise _wrong() from None
    # Written by ``encode_death`` as a float, and ids by senders as text.
    if not isinstance(died_ms, float) or not math.isfinite(died_ms):
        raise _wrong()
    if not isinstance(dead_id, str):
        raise _wrong()
    return died_ms, dead_id


def _encode(parts: list[object]) -> str:
    packed = json.dumps(parts, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def _decode(cursor: str) -> list[object]:
    try:
        packed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        parts = json.loads(packed)
    except (binascii.Error, UnicodeDecodeError, RecursionError) as error:
        raise ValueError from error
    if not isinstance(parts, list):
        raise TypeError("not a list")
    return parts


def _wrong() -> Problem:
    return invalid("cursor", "is not one that this list gave out")
