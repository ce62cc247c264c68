"""What is asked of the providers of models, counted; by ingest and by the api."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from prometheus_client import Counter, Histogram

from docmill_shared.errors import (
    ConfigurationError,
    ProviderUnavailable,
    RateLimited,
    TextRejected,
)

Operation = Literal["embed_documents", "embed_query", "read_image", "answer"]

_CALLS = Counter(
    "docmill_provider_calls_total",
    "Calls to a provider that ended, by how.",
    ("provider", "operation", "outcome"),
)
_SECONDS = Histogram(
    "docmill_provider_call_duration_seconds",
    "How long a provider took to answer.",
    ("provider", "operation"),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
_TEXTS = Counter(
    "docmill_provider_texts_total",
    "Texts (or images) that a provider has answered for.",
    ("provider", "operation"),
)
_TOKENS = Counter(
    "docmill_provider_tokens_total",
    "Tokens of these texts, as docmill counts them; those of queries are not counted.",
    ("provider", "operation"),
)
QUOTA_WAITS = Counter(
    "docmill_provider_quota_waits_total",
    "Waits for a provider's quota: `held` with the file in hand, `handed_back` to the queue.",
    ("provider", "kind"),
)
QUOTA_WAIT_SECONDS = Counter(
    "docmill_provider_quota_wait_seconds_total",
    "Seconds that calls waited for quota with a file in hand.",
    ("provider",),
)
PAUSES = Counter(
    "docmill_provider_pauses_total",
    "Times that a provider's 429 made every pod pause.",
    ("provider",),
)

_OUTCOMES: tuple[tuple[type[BaseException], str], ...] = (
    (RateLimited, "rate_limited"),
    (ProviderUnavailable, "unavailable"),
    (TextRejected, "rejected"),
    (ConfigurationError, "refused"),
)


@contextmanager
def provider_call(
    provider: str, operation: Operation, *, texts: int = 1, tokens: int = 0
) -> Iterator[None]:
    """Count and time the call in this block by how it ends."""
    began = time.perf_counter()
    outcome = "success"
    try:
        yield
        _TEXTS.labels(provider, operation).inc(texts)
        _TOKENS.labels(provider, operation).inc(tokens)
    except BaseException as error:
        outcome = next((name for kind, name in _OUTCOMES if isinstance(error, kind)), "error")
        raise
    finally:
        _CALLS.labels(provider, operation, outcome).inc()
        _SECONDS.labels(provider, operation).observe(time.perf_counter() - began)
