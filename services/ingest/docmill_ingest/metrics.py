"""What an ingest worker counts. docs/metrics.md says what each is good for."""

from prometheus_client import Counter, Histogram

#: From a short note to a book of scanned pages.
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)

FILES = Counter(
    "docmill_ingest_files_total",
    "Attempts at files that ended, by how; `reason` says why a file failed.",
    ("outcome", "reason"),
)
FILE_SECONDS = Histogram(
    "docmill_ingest_file_duration_seconds",
    "From the claim of a file to its completion.",
    buckets=_SECONDS,
)
STAGE_SECONDS = Histogram(
    "docmill_ingest_stage_duration_seconds",
    "Time that an attempt at a file spent in a stage and not in those that feed it.",
    ("stage",),
    buckets=_SECONDS,
)
FETCHED_BYTES = Counter(
    "docmill_ingest_fetched_bytes_total", "Bytes of uploads read from the object store."
)
PAGES = Counter("docmill_ingest_pages_total", "Pages of files that completed.")
CHUNKS = Counter("docmill_ingest_chunks_total", "Chunks of files that completed.")
CACHE_LOOKUPS = Counter(
    "docmill_embedding_cache_lookups_total",
    "Texts looked up in the embedding cache, by whether they were there.",
    ("result",),
)
LEASES_LOST = Counter(
    "docmill_ingest_leases_lost_total",
    "Leases that ended under a running file: expired, cancelled, or the file was deleted.",
)
RENEWAL_FAILURES = Counter(
    "docmill_ingest_lease_renewal_failures_total",
    "Times that the process could not renew its leases, since the database was away.",
)
CHILDREN_ENDED = Counter(
    "docmill_ingest_extraction_children_ended_total",
    "Extraction children that ended with a file, by why; most serve many files.",
    ("reason",),
)
EXTRACTING = Counter("docmill_ingest_extractions_total", "Files handed to an extraction child.")

for _result in ("hit", "miss"):
    CACHE_LOOKUPS.labels(_result)
