"""What each failure of the Gemini API turns into, and that nothing secret leaks on the way."""

import json
import logging
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from docmill_shared.embedding import Embedder, build_embedder
from docmill_shared.errors import (
    ConfigurationError,
    DocmillError,
    ProviderUnavailable,
    RateLimited,
    TextRejected,
)
from tests.fakes.gemini_emulator import GeminiEmulator

KEY = "emulator-key-that-must-stay-secret"
CONTENT = "the patient's confidential diagnosis"


@pytest.fixture
def emulator() -> Iterator[GeminiEmulator]:
    with GeminiEmulator(api_key=KEY) as emulator:
        yield emulator


@pytest.fixture
def embedder(emulator: GeminiEmulator) -> Iterator[Embedder]:
    embedder = build_embedder("gemini", api_key=KEY, base_url=emulator.base_url, timeout=20)
    yield embedder
    embedder.close()


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_the_sdk_never_retries(emulator: GeminiEmulator, embedder: Embedder, status: int) -> None:
    emulator.control(fail_next=1, fail_status=status)

    with pytest.raises((RateLimited, ProviderUnavailable)):
        embedder.embed_documents([CONTENT])

    assert emulator.stats()["calls"] == 1
    assert embedder.embed_documents([CONTENT]).shape == (1, 768)  # The next call is served.


@pytest.mark.parametrize(
    ("faults", "seconds"),
    [
        ({"retry_info_seconds": 17}, 17.0),
        ({"retry_info_seconds": 0.25}, 0.25),
        ({"retry_after": "90"}, 90.0),
        ({"retry_info_seconds": 3, "retry_after": "4"}, 4.0),
        ({"retry_after": "soon"}, None),
        ({}, None),
    ],
)
def test_a_429_carries_the_providers_wish(
    emulator: GeminiEmulator, embedder: Embedder, faults: dict[str, Any], seconds: float | None
) -> None:
    emulator.control(fail_next=1, fail_status=429, **faults)

    with pytest.raises(RateLimited) as caught:
        embedder.embed_query("q")

    assert caught.value.retry_after == seconds


def test_retry_after_may_be_a_date(emulator: GeminiEmulator, embedder: Embedder) -> None:
    then = datetime.now(UTC) + timedelta(seconds=120)
    emulator.control(fail_next=1, fail_status=429, retry_after=format_datetime(then, usegmt=True))

    with pytest.raises(RateLimited) as caught:
        embedder.embed_query("q")

    assert caught.value.retry_after is not None
    assert 60 < caught.value.retry_after <= 120


@pytest.mark.parametrize(
    "faults",
    [
        {"dimensions": 256},
        {"surplus": 1},
        {"surplus": -1},
        {"zero_vectors": True},
        {"drop_next": 1},
        {"garbage_next": 1},
        {"garbage_next": 1, "garbage": "{}"},
        {"garbage_next": 1, "garbage": '{"embeddings": [{"values": ["x"]}]}'},
        {"garbage_next": 1, "garbage": json.dumps({"embeddings": [{"values": [1e999] * 768}]})},
    ],
    ids=str,
)
def test_an_answer_that_cannot_be_vectors_is_an_outage(
    emulator: GeminiEmulator, embedder: Embedder, faults: dict[str, Any]
) -> None:
    emulator.control(**faults)

    with pytest.raises(ProviderUnavailable):
        embedder.embed_documents([CONTENT])


def test_a_silent_server_is_left_after_the_timeout(
    emulator: GeminiEmulator, eventually: Callable[..., None]
) -> None:
    emulator.control(hang_next=1)
    embedder = build_embedder("gemini", api_key=KEY, base_url=emulator.base_url, timeout=1)

    with pytest.raises(ProviderUnavailable, match="Timeout"):
        embedder.embed_query("q")

    eventually(lambda: emulator.stats()["calls"] == 1, what="it may look up only now")


def test_an_unreachable_server_is_an_outage() -> None:
    with GeminiEmulator() as emulator:
        embedder = build_embedder("gemini", api_key=emulator.api_key, base_url=emulator.base_url)
        embedder.embed_query("q")

    with pytest.raises(ProviderUnavailable):
        embedder.embed_query("q")


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_rejected_text_is_named(emulator: GeminiEmulator, embedder: Embedder, count: int) -> None:
    emulator.control(reject_containing="forbidden")
    texts = ["fine"] * (count - 1) + ["a forbidden one"]

    with pytest.raises(TextRejected) as caught:
        embedder.embed_documents(texts)

    assert caught.value.index == count - 1
    assert emulator.stats()["texts"] == 0


def test_a_rejection_without_a_place_has_none(emulator: GeminiEmulator, embedder: Embedder) -> None:
    emulator.control(fail_next=2, fail_status=400, fail_message="requests[7] is bad")

    with pytest.raises(TextRejected) as caught:
        embedder.embed_documents(["a", "b"])
    assert caught.value.index is None  # There is no eighth text.

    with pytest.raises(TextRejected) as caught:
        embedder.embed_documents(["a"])
    assert caught.value.index == 0


@pytest.mark.parametrize(
    ("options", "variable"),
    [
        ({"api_key": "a-wrong-key"}, "GEMINI_API_KEY"),
        ({"model": "text-embedding-004"}, "EMBEDDING_MODEL"),
        ({"base_url": "elsewhere"}, "GEMINI_BASE_URL"),
    ],
)
def test_a_wrong_setting_is_named(
    emulator: GeminiEmulator, options: dict[str, str], variable: str
) -> None:
    right = {"api_key": KEY, "base_url": emulator.base_url}
    if "base_url" in options:
        options = {"base_url": f"{emulator.base_url}/{options['base_url']}"}
    embedder = build_embedder("gemini", **{**right, **options})  # type: ignore[arg-type]

    with pytest.raises(ConfigurationError, match=variable):
        embedder.embed_query(CONTENT)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_a_matter_of_configuration(
    emulator: GeminiEmulator, embedder: Embedder, status: int
) -> None:
    emulator.control(fail_next=1, fail_status=status)

    with pytest.raises(ConfigurationError, match="GEMINI_API_KEY was refused"):
        embedder.embed_query(CONTENT)


@pytest.mark.parametrize(
    "faults",
    [
        *({"fail_next": 1, "fail_status": status} for status in (400, 401, 403, 404, 429, 500)),
        {"reject_containing": CONTENT},
        {"garbage_next": 1, "garbage": f'{{"embeddings": "{CONTENT} {KEY}"}}'},
        {"garbage_next": 1, "garbage": f"{CONTENT} {KEY}"},
        {"drop_next": 1},
    ],
    ids=str,
)
def test_neither_key_nor_content_leaks(
    emulator: GeminiEmulator,
    embedder: Embedder,
    faults: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    emulator.control(fail_message=f"Consumer 'api_key:{KEY}' said {CONTENT}", **faults)

    with pytest.raises(DocmillError) as caught:
        embedder.embed_documents([CONTENT])

    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    cause = caught.value.__context__
    told += "".join(traceback.format_exception(cause)) if cause else ""
    told += caplog.text
    assert KEY not in told
    assert CONTENT not in told
