"""Cursors come back as they were given out, and nothing else is taken for one."""

import base64
import json
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from docmill_api import cursors
from docmill_api.problems import Problem


def _packed(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


def test_cursors_come_back() -> None:
    place = (datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC), uuid4())
    assert cursors.decode_place(cursors.encode_place(*place)) == place
    assert cursors.decode_ordinal(cursors.encode_ordinal(7)) == 7


FILE = "6b0c3f3e-0000-4000-8000-000000000001"

NONSENSE = [
    "",
    "!",
    "é",
    "AAAA",
    "a",
    _packed(None),
    _packed({}),
    _packed([]),
    _packed([1, 2, 3]),
    _packed("[" * 1000),
    "Ww" * 100,
    base64.urlsafe_b64encode(b"[" * 100_000).decode(),
]


@pytest.mark.parametrize(
    "cursor",
    [
        *NONSENSE,
        _packed(["2026-01-01T00:00:00", FILE]),  # without a time zone
        _packed(["2026-01-01T00:00:00+00:00", "x"]),
        _packed(["tomorrow", FILE]),
        _packed([1, 2]),
    ],
)
def test_nonsense_is_no_place(cursor: str) -> None:
    with pytest.raises(Problem) as refusal:
        cursors.decode_place(cursor)
    assert (refusal.value.status, refusal.value.errors[0].field) == (422, "cursor")


@pytest.mark.parametrize(
    "cursor",
    [*NONSENSE, _packed(["1"]), _packed([True]), _packed([-1]), _packed([2**31]), _packed([1.5])],
)
def test_nonsense_is_no_ordinal(cursor: str) -> None:
    with pytest.raises(Problem) as refusal:
        cursors.decode_ordinal(cursor)
    assert (refusal.value.status, refusal.value.errors[0].field) == (422, "cursor")
