"""Search: passages by meaning, by their words, or by both."""

import math
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from numpy import float32
from numpy.typing import NDArray
from sqlalchemy import Row

from docmill_api import metrics, passages
from docmill_api.passages import Question, Scope
from docmill_api.problems import unavailable
from docmill_api.resources import Resources
from docmill_shared.errors import ConfigurationError, RateLimited, TextRejected, TransientError
from docmill_shared.observability import get_logger
from docmill_shared.provider_metrics import provider_call
from docmill_shared.row_security import statements_of

#: What websearch_to_tsquery takes as an instruction: a phrase in quotes, or a word to leave out.
_INSTRUCTION = re.compile(r'"[^"]+"|(?:^|\s)-\w')

log = get_logger(__name__)


class Mode(StrEnum):
    """How passages are found."""

    HYBRID = "hybrid"
    SEMANTIC = "semantic"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Found:
    """The passages, best first."""

    rows: list[Row[Any]]
    degraded: bool  #: the semantic half of a hybrid search is missing


def search(
    resources: Resources,
    caller_id: UUID,
    *,
    query: str,
    mode: Mode,
    scope: Scope,
    file_ids: list[UUID] | None,
    limit: int,
) -> Found:
    """What the caller may see and asked for, in one round trip to the database.

    When the query cannot be embedded, a hybrid search goes on with its words alone, and a
    semantic one is a :class:`Problem` (503).
    """
    vector = None
    if mode != Mode.TEXT:
        with metrics.SEARCH_SECONDS.labels(mode, "embed").time():
            vector = _embed(resources, query, mode)
    question = Question(
        caller_id=caller_id,
        scope=scope,
        vector=None if vector is None else vector.tolist(),
        words=None if mode == Mode.SEMANTIC else query,
        precise=_INSTRUCTION.search(query) is not None,
        file_ids=file_ids,
        limit=limit,
    )
    with (
        metrics.SEARCH_SECONDS.labels(mode, "database").time(),
        statements_of(resources.engine, caller_id) as connection,
    ):
        rows = passages.search(connection, question)
    degraded = mode == Mode.HYBRID and vector is None
    metrics.SEARCHES_DEGRADED.inc(degraded)
    return Found(rows, degraded=degraded)


def _embed(resources: Resources, query: str, mode: Mode) -> NDArray[float32] | None:
    try:
        with provider_call(resources.settings.provider, "embed_query"):
            return resources.embedder.embed_query(query)
    except (TransientError, TextRejected, ConfigurationError) as error:
        # A wrong key is the operator's to mend, and loud; what callers see of it is the same.
        level = log.error if isinstance(error, ConfigurationError) else log.warning
        level("query not embedded", error=type(error).__name__, reason=str(error))
        if mode == Mode.HYBRID:
            return None
        wish = error.retry_after if isinstance(error, RateLimited) else None
        raise unavailable(
            "embedding_unavailable",
            "The query cannot be embedded now; a search with mode=text works.",
            retry_after=math.ceil(wish) if wish else 5,
        ) from None
