"""Gemini embeddings against the emulator: what is sent, and how its controls work."""

import json
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from docmill_shared.embedding import Embedder, build_embedder
from docmill_shared.errors import (
    ConfigurationError,
    ProviderUnavailable,
    RateLimited,
    TextRejected,
)
from tests.fakes.gemini_emulator import GeminiEmulator
from tests.fakes.gemini_protocol import text_hash

KEY = "emulator-key-that-must-stay-secret"


@pytest.fixture
def emulator() -> Iterator[GeminiEmulator]:
    with GeminiEmulator(api_key=KEY) as emulator:
        yield emulator


@pytest.fixture
def embedder(emulator: GeminiEmulator) -> Iterator[Embedder]:
    embedder = build_embedder("gemini", api_key=KEY, base_url=emulator.base_url, timeout=20)
    yield embedder
    embedder.close()


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.005)


def test_a_batch_is_one_call_with_the_right_task(
    emulator: GeminiEmulator, embedder: Embedder
) -> None:
    embedder.embed_documents(["one", "two", "three"])
    embedder.embed_query("which?")

    stats = emulator.stats()
    assert stats["calls_by_method"] == {"batchEmbedContents": 2}
    assert stats["batch_sizes"] == [3, 1]
    assert stats["task_types"] == {"RETRIEVAL_DOCUMENT": 3, "RETRIEVAL_QUERY": 1}
    assert stats["text_sha256"][text_hash("two")] == 1
    assert embedder.model == "gemini-embedding-001"


def test_nothing_is_paid_for_an_empty_list_or_a_blank_text(
    emulator: GeminiEmulator, embedder: Embedder
) -> None:
    embedder.embed_documents([])
    with pytest.raises(TextRejected) as caught:
        embedder.embed_documents(["words", "  \n"])

    assert caught.value.index == 1
    assert emulator.stats()["calls"] == 0


def test_a_used_up_quota_names_the_wait(emulator: GeminiEmulator, embedder: Embedder) -> None:
    emulator.control(quota_texts_per_minute=5)
    embedder.embed_documents(["a", "b", "c", "d"])

    with pytest.raises(RateLimited) as caught:
        embedder.embed_documents(["e", "f"])

    assert caught.value.retry_after is not None
    assert 0 < caught.value.retry_after <= 60
    assert emulator.stats()["texts"] == 4


@pytest.mark.parametrize("key", [None, "", "  ", "schlüssel", "two\nlines"])
def test_an_unusable_key_is_refused_before_any_call(key: str | None) -> None:
    with pytest.raises(ConfigurationError, match="GEMINI_API_KEY") as caught:
        build_embedder("gemini", api_key=key)

    assert not key or not key.strip() or key not in str(caught.value)


def test_the_sdks_own_variables_change_nothing(
    emulator: GeminiEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
    monkeypatch.setenv("GOOGLE_GENAI_API_VERSION", "v9")
    monkeypatch.setenv("GOOGLE_API_KEY", "another-key")
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "http://127.0.0.1:9")

    embedder = build_embedder("gemini", api_key=KEY, base_url=emulator.base_url)

    assert embedder.embed_query("q").shape == (768,)


def test_batches_fly_side_by_side(emulator: GeminiEmulator, embedder: Embedder) -> None:
    emulator.control(hang_next=4)

    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(embedder.embed_documents, [f"text {n}"]) for n in range(4)]
        wait_until(lambda: emulator.stats()["in_flight"] == 4)
        emulator.release_hung()
        assert all(answer.result(timeout=20).shape == (1, 768) for answer in answers)

    assert emulator.stats()["max_in_flight"] == 4


def test_random_failures_repeat_with_their_seed(
    emulator: GeminiEmulator, embedder: Embedder
) -> None:
    def outcomes() -> list[bool]:
        emulator.control(fail_probability=0.5, fail_seed=7)
        told = []
        for n in range(12):
            try:
                embedder.embed_query(f"q{n}")
                told.append(True)
            except ProviderUnavailable:
                told.append(False)
        return told

    first = outcomes()

    assert outcomes() == first
    assert len(set(first)) == 2


def test_the_emulator_is_controlled_from_other_processes() -> None:
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.gemini_emulator", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    killer = threading.Timer(60, server.kill)
    killer.start()
    try:
        assert server.stdout is not None
        base_url = server.stdout.readline().strip()
        embedder = build_embedder("gemini", api_key="emulator-key", base_url=base_url)

        post(base_url, {"reset": True, "fail_next": 1, "fail_status": 429, "retry_after": "7"})
        with pytest.raises(RateLimited) as caught:
            embedder.embed_query("q")
        embedder.embed_query("q")

        assert caught.value.retry_after == 7.0
        with urllib.request.urlopen(f"{base_url}/_stats", timeout=20) as answer:
            stats = json.load(answer)
        assert stats["statuses"] == {"429": 1, "200": 1}
        with pytest.raises(urllib.error.HTTPError):
            post(base_url, {"no_such_control": 1})
    finally:
        killer.cancel()
        server.kill()
        server.communicate()


def post(base_url: str, controls: dict[str, Any]) -> None:
    request = urllib.request.Request(f"{base_url}/_control", json.dumps(controls).encode())
    urllib.request.urlopen(request, timeout=20).close()
