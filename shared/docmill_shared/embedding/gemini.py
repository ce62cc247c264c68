"""Embeddings from Google's Gemini API, through ``batchEmbedContents``."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from google.genai import types
from numpy.typing import NDArray

from docmill_shared.embedding.vectors import DIMENSIONS, encodable, unit_rows
from docmill_shared.errors import TextRejected
from docmill_shared.gemini_client import GeminiClient

DEFAULT_MODEL = "gemini-embedding-001"


class GeminiEmbedder:
    """An ``Embedder`` that asks Google. Owns its client; one call is one HTTP request, no retry.

    Vectors below 3,072 dimensions come back unnormalised and are normalised here
    (https://ai.google.dev/gemini-api/docs/embeddings).
    """

    dimensions: Final = DIMENSIONS
    #: "at most 100 requests can be in one batch", answers the API beyond.
    max_batch_texts: Final = 100
    #: The free tier's tokens a minute: a larger batch could never pass its quota.
    max_batch_tokens: Final = 30_000
    #: A request may have about 4 MB; JSON escapes turn most bytes of UTF-8 into 2 or 3 of these.
    max_batch_bytes: Final = 1_000_000
    #: The input limit of gemini-embedding-001.
    max_text_tokens: Final = 2048

    def __init__(self, client: GeminiClient, model: str | None = None) -> None:
        self.model: Final = (model or DEFAULT_MODEL).removeprefix("models/")
        self._client = client

    def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """See ``Embedder``. A blank text is rejected without a call: nothing is paid for it."""
        if len(texts) > self.max_batch_texts:
            raise ValueError(f"{len(texts)} texts in a batch of at most {self.max_batch_texts}")
        if not texts:
            return np.zeros((0, DIMENSIONS), dtype=np.float32)
        return self._embed(texts, task_type="RETRIEVAL_DOCUMENT")

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """See ``Embedder``."""
        vector: NDArray[np.float32] = self._embed([text], task_type="RETRIEVAL_QUERY")[0]
        return vector

    def close(self) -> None:
        """See ``Embedder``."""
        self._client.close()

    def _embed(self, texts: Sequence[str], *, task_type: str) -> NDArray[np.float32]:
        blank = next((index for index, text in enumerate(texts) if not text.strip()), None)
        if blank is not None:
            raise TextRejected("A blank text has no embedding", blank)
        # One Content per text: of plain strings, the SDK makes a single Content for every model
        # but gemini-embedding-001, and the API then returns one vector for all of them.
        contents = [types.Content(parts=[types.Part(text=encodable(text))]) for text in texts]
        try:
            answer = self._client.ask(
                lambda sdk: sdk.models.embed_content(
                    model=self.model,
                    contents=[*contents],
                    config={"task_type": task_type, "output_dimensionality": DIMENSIONS},
                ),
                model_setting="EMBEDDING_MODEL",
            )
        except TextRejected as rejected:
            raise TextRejected(str(rejected), _place(rejected.index, len(texts))) from None
        rows = [embedding.values or [] for embedding in answer.embeddings or []]
        return unit_rows(rows, count=len(texts), source=self.model)


def _place(index: int | None, count: int) -> int | None:
    """The rejected text's place: the only one of one, or what was named if it is in the batch."""
    if count == 1:
        return 0
    return index if index is not None and index < count else None
