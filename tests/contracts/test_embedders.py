"""What every Embedder must do, run over each of them: local, and Gemini on its emulator."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest

from docmill_shared.embedding import DIMENSIONS, Embedder, build_embedder
from docmill_shared.errors import TextRejected
from tests.fakes.gemini_emulator import GeminiEmulator

ODD_TEXTS = [
    "한국어와 日本語 and العربية in one line",
    "family: 👨‍👩‍👧‍👦, flag: 🇰🇷, combining: e\u0301, zero width: a\u200bb",
    "NUL \x00 and control \x07 characters",
    "a lone surrogate \ud800 from broken JSON",
    "\U0010ffff",
    "a" * 4000,
]


@pytest.fixture(params=["local", "gemini"])
def embedder(request: pytest.FixtureRequest) -> Iterator[Embedder]:
    if request.param == "local":
        yield build_embedder("local")
        return
    with GeminiEmulator() as emulator:
        embedder = build_embedder(
            "gemini", api_key=emulator.api_key, base_url=emulator.base_url, timeout=60
        )
        yield embedder
        embedder.close()


def assert_unit_rows(vectors: np.ndarray, count: int) -> None:
    assert vectors.shape == (count, DIMENSIONS)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)


def rows_or_rejection(embed: Callable[[], np.ndarray]) -> np.ndarray | TextRejected:
    try:
        return embed()
    except TextRejected as rejected:
        return rejected


def test_documents_become_unit_rows(embedder: Embedder) -> None:
    vectors = embedder.embed_documents(["The invoice is due in May.", "Cats sleep.", "x"])

    assert embedder.dimensions == DIMENSIONS == 768
    assert_unit_rows(vectors, 3)


def test_a_query_is_one_unit_vector(embedder: Embedder) -> None:
    vector = embedder.embed_query("when is the invoice due?")

    assert vector.shape == (DIMENSIONS,)
    assert_unit_rows(vector[np.newaxis], 1)


def test_no_texts_give_no_rows(embedder: Embedder) -> None:
    vectors = embedder.embed_documents([])

    assert vectors.shape == (0, DIMENSIONS)
    assert vectors.dtype == np.float32


def test_rows_keep_the_order_of_the_texts(embedder: Embedder) -> None:
    texts = [f"passage number {n} speaks of {n * n}" for n in range(embedder.max_batch_texts)]

    together = embedder.embed_documents(texts)

    reversed_rows = embedder.embed_documents(texts[::-1])
    np.testing.assert_array_equal(together, reversed_rows[::-1])
    assert not np.array_equal(together, reversed_rows)


def test_a_vector_does_not_depend_on_its_batch(embedder: Embedder) -> None:
    texts = ["short", "a rather longer passage about rivers and the sea " * 40, "middle one here"]

    together = embedder.embed_documents(texts)

    for text, row in zip(texts, together, strict=True):
        np.testing.assert_array_equal(embedder.embed_documents([text])[0], row)


def test_too_many_texts_are_the_callers_mistake(embedder: Embedder) -> None:
    with pytest.raises(ValueError, match=str(embedder.max_batch_texts)):
        embedder.embed_documents(["x"] * (embedder.max_batch_texts + 1))


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_odd_text_has_a_vector(embedder: Embedder, text: str) -> None:
    vectors = embedder.embed_documents([text, "plain"])

    assert_unit_rows(vectors, 2)
    assert_unit_rows(embedder.embed_query(text)[np.newaxis], 1)


@pytest.mark.parametrize("text", ["", " ", "\n\t "])
def test_a_blank_text_is_embedded_or_rejected_by_its_place(embedder: Embedder, text: str) -> None:
    answer = rows_or_rejection(lambda: embedder.embed_documents(["plain", text]))

    if isinstance(answer, TextRejected):
        assert answer.index == 1
    else:
        assert_unit_rows(answer, 2)


def test_a_text_at_the_limit_is_embedded(embedder: Embedder) -> None:
    text = "two " * embedder.max_text_tokens  # A token each: four characters, one common word.

    assert_unit_rows(embedder.embed_documents([text]), 1)


def test_a_text_far_beyond_the_limit_is_embedded_or_rejected(embedder: Embedder) -> None:
    text = "many words and more of them " * embedder.max_text_tokens

    answer = rows_or_rejection(lambda: embedder.embed_documents([text]))

    if isinstance(answer, TextRejected):
        assert answer.index == 0
    else:
        assert_unit_rows(answer, 1)


def test_the_passage_that_answers_is_nearest(embedder: Embedder) -> None:
    passages = [
        "The invoice for the March delivery is due on 31 May and is paid by bank transfer.",
        "Bake the bread for forty minutes in a hot oven until the crust is brown.",
        "The river floods the valley each spring when the snow melts in the mountains.",
    ]

    rows = embedder.embed_documents(passages)
    scores = rows @ embedder.embed_query("On which day is the March invoice due?")

    assert int(np.argmax(scores)) == 0
    near, far = embedder.embed_documents(["the invoice is due in May", "snow in the mountains"])
    assert float(rows[0] @ near) > float(rows[0] @ far)


def test_threads_share_one_embedder(embedder: Embedder) -> None:
    threads = 4
    batches = [[f"thread {t} passage {n}" for n in range(20)] for t in range(threads)]
    expected = [embedder.embed_documents(batch) for batch in batches]
    start = Barrier(threads, timeout=60)

    def embed(batch: list[str]) -> list[np.ndarray]:
        start.wait()
        return [embedder.embed_documents(batch) for _ in range(5)]

    with ThreadPoolExecutor(threads) as pool:
        for rounds, rows in zip(pool.map(embed, batches), expected, strict=True):
            for round_ in rounds:
                np.testing.assert_array_equal(round_, rows)


def test_limits_make_sense(embedder: Embedder) -> None:
    assert embedder.max_batch_texts >= 1
    assert embedder.max_batch_tokens >= embedder.max_text_tokens
    assert embedder.max_batch_bytes >= embedder.max_text_tokens * 4
    assert embedder.model.strip()


def test_closing_twice_is_harmless(embedder: Embedder) -> None:
    embedder.close()
    embedder.close()
