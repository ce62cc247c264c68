"""Static embeddings from wordllama: no key, no network, about 4,000 passages a second and core.

A text's vector is the mean of its tokens' vectors, read from a table of 32,000 rows that lies in
the wheel. Word order and context are lost: good for trying docmill out and for closed networks,
below Gemini in quality.
"""

import importlib
import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from docmill_shared.embedding.vectors import DIMENSIONS, encodable
from docmill_shared.errors import ConfigurationError

#: The length of wordllama's vectors; zeros fill the rest, which leaves every cosine as it was.
_WIDTH = 256

#: Tokens summed at a time, so that a text of any length needs 4 MB and no more.
_WINDOW = 4096


@dataclass(frozen=True)
class _Weights:
    table: NDArray[np.float32]  #: shape (32000, 256)
    tokenizer: Any  #: a tokenizers.Tokenizer, which brings no types


_weights: _Weights | None = None
_loading = threading.Lock()


class LocalEmbedder:
    """An ``Embedder`` of this process's own. The weights load on first use, once per process."""

    model = "wordllama-l2-256"
    dimensions = DIMENSIONS
    max_batch_texts = 256
    max_batch_tokens = 256 * 1024
    max_batch_bytes = 1_000_000
    max_text_tokens = 8192  # A sensible passage; longer texts are embedded in full all the same.

    def embed_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """See ``Embedder``. Refuses no text: see :func:`_direction` for one without tokens."""
        if len(texts) > self.max_batch_texts:
            raise ValueError(f"{len(texts)} texts in a batch of at most {self.max_batch_texts}")
        vectors = np.zeros((len(texts), DIMENSIONS), dtype=np.float32)
        if not texts:
            return vectors
        weights = _load_once()
        encodings = weights.tokenizer.encode_batch_fast(
            [encodable(text) for text in texts], add_special_tokens=False
        )
        for vector, encoding in zip(vectors, encodings, strict=True):
            vector[:] = _direction(weights.table, encoding.ids)
        return vectors

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """See ``Embedder``. The same as a document's vector: the table knows no tasks."""
        vector: NDArray[np.float32] = self.embed_documents([text])[0]
        return vector

    def close(self) -> None:
        """Nothing to give back: the weights stay for the process's other embedders."""


def _direction(table: NDArray[np.float32], ids: Sequence[int]) -> NDArray[np.float32]:
    """The unit vector, shape (768,), of a text with these token ids.

    A text without tokens gets the last axis, which no other text uses: a valid vector whose
    similarity is 1 to its like and 0 to everything else.
    """
    vector = np.zeros(DIMENSIONS, dtype=np.float32)
    for start in range(0, len(ids), _WINDOW):
        vector[:_WIDTH] += table[ids[start : start + _WINDOW]].sum(axis=0)
    length = np.linalg.norm(vector)
    if length == 0:
        vector[-1] = 1.0
        return vector
    # The sum points where the mean does, so the number of tokens need not be divided out.
    return vector / length


def _load_once() -> _Weights:
    """This process's weights; the first caller reads them, callers beside it wait."""
    global _weights
    with _loading:
        if _weights is None:
            _weights = _load()
        return _weights


def _load() -> _Weights:
    """Read the table and the tokenizer from the installed wheel; nothing is written."""
    wordllama = _import_wordllama()
    model = wordllama.WordLlama.load(
        "l2_supercat",
        dim=_WIDTH,
        # wordllama looks for its tokenizer in its own folder "tokenizer", which the wheel names
        # "tokenizers", and then in "tokenizers" of its cache: so its own folder is the cache.
        cache_dir=Path(wordllama.__file__).parent,
        disable_download=True,
    )
    # WordLlamaInference.embed pads each batch to its longest text: slower, and one text of
    # 100,000 tokens would cost gigabytes. The mean is therefore taken here, from its table.
    model.tokenizer.no_padding()
    return _Weights(model.embedding, model.tokenizer)


def _import_wordllama() -> Any:
    """Import wordllama and undo its ``logging.basicConfig``, which is for the process to decide."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        return importlib.import_module("wordllama")
    except ImportError:
        raise ConfigurationError(
            "EMBEDDING_PROVIDER is local, but wordllama is not installed: docmill-shared[local]"
        ) from None
    except RuntimeError:
        # It names a cache below the home directory as it is imported, and writes nothing there.
        raise ConfigurationError("HOME is not set, and this user has no home directory") from None
    finally:
        for handler in set(root.handlers).difference(handlers):
            root.removeHandler(handler)
        root.setLevel(level)
