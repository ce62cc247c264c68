"""The life of a file: its states, the legal steps between them, and the reasons for failure.

The README draws the same diagram; ``tests/unit/test_states.py`` holds the two together.
``files.status`` in Postgres is the truth about a file; a message is only a hint to look.
"""

from enum import StrEnum


class FileStatus(StrEnum):
    """Where a file stands."""

    PENDING = "PENDING"  #: reserved; its bytes are not confirmed yet
    QUEUED = "QUEUED"  #: confirmed; waits for a worker (or for its next attempt)
    PROCESSING = "PROCESSING"  #: claimed by a worker that holds the lease
    COMPLETED = "COMPLETED"  #: its chunks are searchable
    DUPLICATE = "DUPLICATE"  #: the owner already has these bytes; see ``duplicate_of``
    FAILED = "FAILED"  #: ended with a :class:`FailureReason` and a sentence
    DELETING = "DELETING"  #: gone for its owner; object, chunks and row follow


S = FileStatus

#: Every legal step. In the test suite a trigger on the table refuses any other.
TRANSITIONS: dict[FileStatus, frozenset[FileStatus]] = {
    S.PENDING: frozenset({S.QUEUED, S.DELETING}),
    S.QUEUED: frozenset({S.PROCESSING, S.FAILED, S.DELETING}),
    S.PROCESSING: frozenset({S.QUEUED, S.COMPLETED, S.DUPLICATE, S.FAILED, S.DELETING}),
    S.COMPLETED: frozenset({S.DELETING}),
    S.DUPLICATE: frozenset({S.DELETING}),
    S.FAILED: frozenset({S.QUEUED, S.DELETING}),
    S.DELETING: frozenset(),
}

#: States in which nothing more happens by itself.
FINAL = frozenset({S.COMPLETED, S.DUPLICATE, S.FAILED})


class Visibility(StrEnum):
    """Who finds a file's passages: its owner alone, or everyone."""

    PRIVATE = "private"
    PUBLIC = "public"


class FailureReason(StrEnum):
    """Why a file FAILED, for programs. The sentence beside it is for people."""

    CANCELLED = "cancelled"
    CHECKSUM_MISMATCH = "checksum_mismatch"
    CORRUPT = "corrupt"
    CRASHED_WORKER = "crashed_worker"
    EMBEDDING_REJECTED = "embedding_rejected"
    EMPTY_FILE = "empty_file"
    ENCRYPTED = "encrypted"
    EXTRACTION_MEMORY = "extraction_memory"
    EXTRACTION_TIMEOUT = "extraction_timeout"
    INTERNAL = "internal"
    NO_TEXT = "no_text"
    OBJECT_MISSING = "object_missing"
    SIZE_MISMATCH = "size_mismatch"
    RETRIES_EXHAUSTED = "retries_exhausted"
    TOO_LARGE = "too_large"
    TOO_MANY_PAGES = "too_many_pages"
    TYPE_MISMATCH = "type_mismatch"
    UNSUPPORTED_TYPE = "unsupported_type"
