"""embed: passages to vectors, in batches, several with the provider at once, none paid twice."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from docmill_ingest import metrics
from docmill_ingest.embedded_text import prefix
from docmill_ingest.in_flight import in_flight
from docmill_ingest.outcomes import DailyTokensUsed
from docmill_ingest.provider_calls import call_provider
from docmill_ingest.resources import Resources
from docmill_ingest.work import Work
from docmill_shared import embedding_cache
from docmill_shared.chunks import Passage
from docmill_shared.database import autocommit, outlast
from docmill_shared.errors import PermanentError, TextRejected
from docmill_shared.states import FailureReason

_TASK_TYPE = "RETRIEVAL_DOCUMENT"

Vectors = NDArray[np.float32]


@dataclass(slots=True)
class _Batch:
    """Passages that go to the provider together, each with the exact text that is sent."""

    passages: list[Passage] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    tokens: int = 0
    size_bytes: int = 0


def run(work: Work, resources: Resources) -> None:
    """Set ``work.embedded``; batches are embedded as they are pulled.

    A file that has begun is finished, also where that is more than its owner has left for today:
    otherwise one that needs more than a day's tokens would never come to its end.

    Raises:
        DailyTokensUsed: now; the owner has none left at all.

    What is pulled may raise:
        RateLimited, ProviderUnavailable: try later; what is embedded already is kept.
        PermanentError: the provider refuses a passage; the sentence names it.
    """
    limit = resources.settings.owner_tokens_per_day
    if limit is not None and work.claim.tokens_today >= limit:
        raise DailyTokensUsed
    batches = in_flight(
        resources.executor,
        partial(_embed, work, resources),
        _batches(work, resources),
        window=resources.settings.embedding_concurrency,
    )
    work.embedded = work.clock.pulled("embed", batches)


def _batches(work: Work, resources: Resources) -> Iterator[_Batch]:
    """Passages in batches within the provider's limits on texts, tokens and bytes."""
    embedder = resources.embedder
    batch = _Batch()
    for passage in work.passages:
        context, context_tokens = prefix(work.claim.name, passage.heading_path, resources.encoding)
        text = f"{context}\n\n{passage.text}"
        tokens = passage.token_count + context_tokens
        size = len(text.encode())
        if batch.texts and (
            len(batch.texts) == embedder.max_batch_texts
            or batch.tokens + tokens > embedder.max_batch_tokens
            or batch.size_bytes + size > embedder.max_batch_bytes
        ):
            yield batch
            work.lease.check()
            batch = _Batch()
        batch.passages.append(passage)
        batch.texts.append(text)
        batch.tokens += tokens
        batch.size_bytes += size
    if batch.texts:
        yield batch


def _embed(work: Work, resources: Resources, batch: _Batch) -> tuple[list[Passage], Vectors]:
    work.lease.check()
    if resources.embeddings_are_free:
        return batch.passages, _embed_texts(work, resources, batch.passages, batch.texts)

    digests = [embedding_cache.digest(text) for text in batch.texts]
    vectors = _look_up(resources, digests)
    # By digest, so that a text which stands twice in the batch is paid for once.
    missing = {key: at for at, key in enumerate(digests) if key not in vectors}
    metrics.CACHE_LOOKUPS.labels("miss").inc(len(missing))
    metrics.CACHE_LOOKUPS.labels("hit").inc(len(digests) - len(missing))
    if missing:
        places = list(missing.values())
        fresh = _embed_texts(
            work,
            resources,
            [batch.passages[at] for at in places],
            [batch.texts[at] for at in places],
        )
        # It is paid for: a restart of the database must not lose it.
        outlast(
            partial(_remember, resources, list(missing), fresh),
            seconds=resources.settings.lease_seconds,
        )
        vectors.update(zip(missing, fresh, strict=True))
    return batch.passages, np.stack([vectors[key] for key in digests])


def _look_up(resources: Resources, digests: Sequence[bytes]) -> dict[bytes, Vectors]:
    with autocommit(resources.engine) as connection:
        return embedding_cache.look_up(
            connection, model=resources.embedder.model, task_type=_TASK_TYPE, digests=digests
        )


def _remember(resources: Resources, digests: Sequence[bytes], vectors: Vectors) -> None:
    with autocommit(resources.engine) as connection:
        embedding_cache.remember(
            connection,
            model=resources.embedder.model,
            task_type=_TASK_TYPE,
            digests=digests,
            vectors=vectors,
        )


def _embed_texts(
    work: Work, resources: Resources, passages: Sequence[Passage], texts: Sequence[str]
) -> Vectors:
    tokens = sum(passage.token_count for passage in passages)
    try:
        vectors = call_provider(
            work,
            resources,
            partial(resources.embedder.embed_documents, texts),
            operation="embed_documents",
            texts=len(texts),
            tokens=tokens,
        )
    except TextRejected as error:
        if error.index is None and len(texts) > 1:
            # The provider did not say which text it refuses: halve until there is only one.
            half = len(texts) // 2
            return np.concatenate(
                (
                    _embed_texts(work, resources, passages[:half], texts[:half]),
                    _embed_texts(work, resources, passages[half:], texts[half:]),
                )
            )
        passage = passages[error.index or 0]
        page = f" (page {passage.page_start})" if passage.page_start else ""
        raise PermanentError(
            FailureReason.EMBEDDING_REJECTED,
            f"The embedding model refuses passage {passage.ordinal + 1}{page}: {error}",
        ) from error
    work.uncounted_tokens.append(tokens)
    return vectors
