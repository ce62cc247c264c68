"""Search: who finds what, in which order, and what happens without an embedding provider."""

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import event

from docmill_api.resources import Resources
from docmill_shared.embedding import Embedder, build_embedder
from docmill_shared.errors import (
    ConfigurationError,
    ProviderUnavailable,
    RateLimited,
    TextRejected,
)
from tests.integration.api.driver import Account, Api, axis, problem, settings_from

MODES = ("hybrid", "semantic", "text")


class OneQuestion:
    """An embedder for which every query lies on axis 0, or which fails."""

    model = "one-question"
    dimensions = 768

    def __init__(self) -> None:
        self.error: Exception | None = None

    def embed_query(self, text: str) -> NDArray[np.float32]:
        if self.error is not None:
            raise self.error
        return np.array(axis(1), dtype=np.float32)

    def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return build_embedder("local").embed_documents(texts)

    def close(self) -> None:
        pass


@pytest.fixture
def embedder(api: Api) -> Iterator[OneQuestion]:
    """The api's embedder, replaced."""
    fake = OneQuestion()
    real = api.resources.embedder
    api.resources.embedder = fake  # type: ignore[assignment]
    yield fake
    api.resources.embedder = real


def search(account: Account, query: str, **options: Any) -> Any:
    answer = account.post("/v1/search", {"query": query, **options})
    assert answer.status_code == 200, answer.text
    return answer.json


def texts(found: Any) -> list[str]:
    return [result["text"] for result in found["results"]]


def test_a_question_finds_the_passage_and_cites_it(api: Api, account: Account) -> None:
    file_id = api.file_with_chunks(
        account,
        [
            "The board approved a budget of four million for the lighthouse.",
            "Penguins live in the southern hemisphere.",
            "A recipe for bread: flour, water, salt and time.",
        ],
        name="minutes.txt",
    )
    found = search(account, "What budget did the board approve?", scope="mine")
    best = found["results"][0]
    assert best == {
        "chunk_id": best["chunk_id"],
        "file": {"id": file_id, "name": "minutes.txt"},
        "page_start": 1,
        "page_end": 1,
        "heading_path": ["Part"],
        "text": "The board approved a budget of four million for the lighthouse.",
        "score": pytest.approx(1.0),
        "similarity": best["similarity"],
    }
    assert 0.2 < best["similarity"] <= 1
    assert {**found, "results": [], "took_ms": 0} == {
        "query": "What budget did the board approve?",
        "mode": "hybrid",
        "degraded": False,
        "results": [],
        "took_ms": 0,
    }


@pytest.mark.parametrize("mode", MODES)
def test_owners_find_their_own_and_public_passages_only(api: Api, mode: str) -> None:
    # Given two owners with the same passage, and one who published it
    ada, bob, publisher = api.account(), api.account(), api.account("contributor")
    word = f"w{uuid4().hex}"
    for owner, visibility in ((ada, "private"), (bob, "private"), (publisher, "public")):
        api.file_with_chunks(owner, [f"{word} of {owner.email}"], visibility=visibility)

    def found_by(account: Account, scope: str) -> set[str]:
        results = search(account, word, mode=mode, scope=scope, limit=50)["results"]
        return {result["text"] for result in results if word in result["text"]}

    # Then each finds what is theirs and what is public
    public = f"{word} of {publisher.email}"
    for account in (ada, bob):
        own = f"{word} of {account.email}"
        assert found_by(account, "all") == {own, public}
        assert found_by(account, "mine") == {own}
        assert found_by(account, "public") == {public}
    assert found_by(publisher, "all") == found_by(publisher, "mine") == {public}
    assert found_by(api.account("admin"), "all") == {public}
    assert found_by(api.account(), "mine") == set()


@pytest.mark.parametrize("mode", MODES)
def test_named_files_limit_a_search_and_open_nothing(api: Api, mode: str) -> None:
    ada, bob = api.account(), api.account()
    word = f"w{uuid4().hex}"
    first = api.file_with_chunks(ada, [f"{word} first"])
    api.file_with_chunks(ada, [f"{word} second"])
    foreign = api.file_with_chunks(bob, [f"{word} foreign"])
    found = search(ada, word, mode=mode, file_ids=[first, foreign])
    assert texts(found) == [f"{word} first"]
    assert search(ada, word, mode=mode, file_ids=[foreign])["results"] == []


def test_ranks_are_fused(api: Api, account: Account, embedder: OneQuestion) -> None:
    # Given a semantic order a, b, c, d and a textual order d, b (of both words, then of one)
    api.file_with_chunks(
        account,
        ["a nothing", "b apples", "c nothing", "d apples and pears"],
        vectors=[axis(2, 0.9), axis(2, 0.8), axis(2, 0.7), axis(2, 0.6)],
    )
    semantic = search(account, "apples pears", mode="semantic", scope="mine")
    assert [text[0] for text in texts(semantic)] == ["a", "b", "c", "d"]
    similarities = [result["similarity"] for result in semantic["results"]]
    assert similarities == pytest.approx([0.9, 0.8, 0.7, 0.6], abs=0.002)
    text = search(account, "apples pears", mode="text", scope="mine")
    assert [each[0] for each in texts(text)] == ["d", "b"]
    assert [result["similarity"] for result in text["results"]] == [None, None]
    # Then b (2nd and 2nd) and d (4th and 1st) come before those that one leg alone found
    best = 2 / 61  # the first of both legs
    hybrid = search(account, "apples pears", scope="mine")
    assert [(each["text"][0], each["score"]) for each in hybrid["results"]] == [
        ("b", pytest.approx((1 / 62 + 1 / 62) / best)),
        ("d", pytest.approx((1 / 64 + 1 / 61) / best)),
        ("a", pytest.approx(1 / 61 / best)),
        ("c", pytest.approx(1 / 63 / best)),
    ]
    limited = search(account, "apples pears", scope="mine", limit=1)
    assert [text[0] for text in texts(limited)] == ["b"]


def test_words_are_found_in_questions(api: Api, account: Account) -> None:
    api.file_with_chunks(
        account, ["The lighthouse keeper retired in May.", "Lighthouses, lighthouses, lighthouses."]
    )
    found = search(account, "When did the keeper of the lighthouse retire?", mode="text")
    assert texts(found)[0] == "The lighthouse keeper retired in May."
    assert len(texts(found)) == 2


@pytest.mark.parametrize(
    "query", ["the of and", "?", "' or 1=1 --", "a:*&|!()<->", "%s %(x)s :limit {legs}", "\\", "𝔘"]
)
def test_odd_queries_are_answered(api: Api, account: Account, query: str) -> None:
    api.file_with_chunks(account, ["The lighthouse keeper retired in May."])
    assert search(account, query, mode="text", scope="mine")["results"] == []
    assert len(search(account, query, scope="mine")["results"]) == 1


def test_quotes_and_minus_are_obeyed(api: Api, account: Account) -> None:
    api.file_with_chunks(account, ["red green blue", "green red blue", "red green yellow"])
    quoted = search(account, '"red green"', mode="text", scope="mine")
    assert set(texts(quoted)) == {"red green blue", "red green yellow"}
    without = search(account, "red -yellow", mode="text", scope="mine")
    assert set(texts(without)) == {"red green blue", "green red blue"}


def test_a_search_is_one_statement(api: Api, account: Account) -> None:
    search(account, "x")
    statements: list[str] = []

    def count(_: object, __: object, statement: str, *___: object) -> None:
        statements.append(statement)

    event.listen(api.resources.engine, "before_cursor_execute", count)
    try:
        search(account, "x")
    finally:
        event.remove(api.resources.engine, "before_cursor_execute", count)
    assert len(statements) == 2  # the caller's standing, and the search


@pytest.mark.parametrize(
    ("error", "retry_after"),
    [
        (ProviderUnavailable("away"), "5"),
        (RateLimited("slowly", retry_after=6.2), "7"),
        (RateLimited("slowly"), "5"),
        (TextRejected("no"), "5"),
        (ConfigurationError("GEMINI_API_KEY was refused"), "5"),
    ],
)
def test_without_embeddings_words_are_left(
    api: Api, account: Account, embedder: OneQuestion, error: Exception, retry_after: str
) -> None:
    api.file_with_chunks(account, ["apples", "pears"])
    embedder.error = error
    hybrid = search(account, "apples", scope="mine")
    assert (hybrid["degraded"], texts(hybrid)) == (True, ["apples"])
    assert hybrid["results"][0]["similarity"] is None
    answer = account.post("/v1/search", {"query": "apples", "mode": "semantic"})
    problem(answer, 503, "embedding_unavailable")
    assert answer.headers["Retry-After"] == retry_after
    assert search(account, "apples", mode="text", scope="mine")["degraded"] is False


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"query": ""}, "query"),
        ({"query": "  \n "}, "query"),
        ({"query": "x" * 2001}, "query"),
        ({"query": "a\u0000"}, "query"),
        ({"query": "\udfff"}, "query"),
        ({"query": 5}, "query"),
        ({"limit": 0}, "limit"),
        ({"limit": 51}, "limit"),
        ({"limit": "5"}, "limit"),
        ({"mode": "magic"}, "mode"),
        ({"scope": "theirs"}, "scope"),
        ({"file_ids": []}, "file_ids"),
        ({"file_ids": ["x"]}, "file_ids.0"),
        ({"file_ids": [str(uuid4())] * 101}, "file_ids"),
    ],
)
def test_a_wrong_field_is_named(account: Account, fields: dict[str, Any], field: str) -> None:
    answer = account.post("/v1/search", {"query": "x", **fields})
    details = problem(answer, 422, "validation_failed")
    assert [each["field"] for each in details["errors"]] == [field]


def test_gemini_is_built_from_the_settings_without_a_call(api_environment: dict[str, str]) -> None:
    settings = settings_from(
        api_environment, embedding_provider="auto", gemini_api_key="k", gemini_timeout_seconds=60
    )
    resources = Resources.from_settings(settings)
    embedder: Embedder = resources.embedder
    assert embedder.model == "gemini-embedding-001"
    resources.warm_up()
    resources.close()
