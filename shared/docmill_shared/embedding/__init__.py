"""Text to vectors, behind one port with two implementations.

``local`` needs neither a key nor a network; ``gemini`` calls Google. Ingest embeds the passages
of a file, the api embeds queries. Both build their embedder here, once per process, and every
implementation passes ``tests/contracts/test_embedders.py``.
"""

from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from docmill_shared.embedding.vectors import DIMENSIONS

__all__ = ["DIMENSIONS", "Embedder", "EmbeddingProvider", "build_embedder"]

EmbeddingProvider = Literal["local", "gemini"]


class Embedder(Protocol):
    """Turns texts into unit vectors whose dot product is their similarity.

    Safe to call from several threads at once. Both methods raise:

    - ``RateLimited``: the provider's quota is used up; ``retry_after`` is its wish in seconds;
    - ``ProviderUnavailable``: no answer, a 5xx, or an answer that cannot be vectors;
    - ``TextRejected``: one text is refused for good, for instance a blank one (Gemini refuses
      those, local does not). Nothing of the batch was embedded. ``index`` may be None: halve the
      batch to find the text (a batch of one always names index 0);
    - ``ConfigurationError``: the key, the model or the base URL is wrong.
    """

    @property
    def model(self) -> str:
        """The key of cached vectors: it changes whenever the vectors would."""

    @property
    def dimensions(self) -> int:
        """The length of every vector: :data:`DIMENSIONS`."""

    @property
    def max_batch_texts(self) -> int:
        """The most texts one ``embed_documents`` takes; more is a ``ValueError``."""

    @property
    def max_batch_tokens(self) -> int:
        """What a batch should hold at most, in tokens; the caller counts and packs."""

    @property
    def max_batch_bytes(self) -> int:
        """What a batch should hold at most, in bytes of UTF-8; the caller counts and packs."""

    @property
    def max_text_tokens(self) -> int:
        """What one text should hold at most, in tokens. A longer one may be refused."""

    def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Passages to be found: shape (n, 768), unit rows, in the order of ``texts``.

        No text, no call: the shape is then (0, 768). A text's vector does not depend on the
        other texts of its batch.
        """

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """A question to find passages with: shape (768,), unit length."""

    def close(self) -> None:
        """Give connections back. Closing twice is harmless."""


def build_embedder(
    provider: EmbeddingProvider,
    *,
    api_key: str | None = None,
    model: str | None = None,
    base_url: str | None = None,
    timeout: float = 60.0,
) -> Embedder:
    """The embedder that the settings ask for. Opens no connection and loads no weights yet.

    Everything after ``provider`` concerns Gemini only: ``model`` None means gemini-embedding-001,
    ``base_url`` None means Google, ``timeout`` is in seconds.

    Raises ``ConfigurationError`` when Gemini is asked for without a usable key, or when the
    provider's library is not installed in this image.
    """
    # Imported here: an image carries only the library of the provider that it uses.
    if provider == "local":
        from docmill_shared.embedding.local import LocalEmbedder

        return LocalEmbedder()

    from docmill_shared.embedding.gemini import GeminiEmbedder
    from docmill_shared.gemini_client import GeminiClient

    client = GeminiClient(api_key=api_key, base_url=base_url, timeout=timeout)
    return GeminiEmbedder(client, model=model)
