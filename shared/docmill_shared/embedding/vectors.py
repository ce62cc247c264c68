"""What every embedder must hold to: texts that can be encoded, and unit vectors of one length."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from docmill_shared.errors import ProviderUnavailable

#: The length of every stored vector, ``halfvec(768)`` in the schema: a quarter of what Gemini
#: returns by default, and one of the three lengths that Google recommends (768, 1536, 3072).
DIMENSIONS = 768


def encodable(text: str) -> str:
    """The text as UTF-8 can carry it: lone surrogates (from broken JSON, say) become "?".

    Neither a tokenizer nor a provider accepts them, and they mean nothing.
    """
    return text.encode("utf-8", errors="replace").decode("utf-8")


def unit_rows(rows: Sequence[Sequence[float]], *, count: int, source: str) -> NDArray[np.float32]:
    """Check what a provider returned and normalise it: shape (count, 768), float32, unit rows.

    Raises ``ProviderUnavailable``, naming ``source``, when there are more or fewer vectors than
    texts, when one has another length, or when one has no direction (zero, NaN, infinite).
    """
    if len(rows) != count:
        raise ProviderUnavailable(f"{source} returned {len(rows)} vectors for {count} texts")
    odd = next((len(row) for row in rows if len(row) != DIMENSIONS), None)
    if odd is not None:
        raise ProviderUnavailable(f"{source} returned a vector of {odd}, not {DIMENSIONS} numbers")

    # float64 until the end, so that squaring neither overflows nor vanishes.
    matrix = np.asarray(rows, dtype=np.float64).reshape(count, DIMENSIONS)
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    if not np.all(np.isfinite(lengths) & (lengths > 0)):
        raise ProviderUnavailable(f"{source} returned a vector without a direction")
    unit: NDArray[np.float32] = (matrix / lengths).astype(np.float32)
    return unit
