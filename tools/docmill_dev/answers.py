"""What the API answers, as far as its clients here read it. Parsed by ``client.py``."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

Json = dict[str, Any]

#: Nothing more happens to such a file by itself.
FINAL = frozenset({"COMPLETED", "DUPLICATE", "FAILED"})


@dataclass(frozen=True, slots=True)
class File:
    """A file of the account that asked."""

    id: str
    name: str
    size_bytes: int
    visibility: str
    status: str
    stage: str | None  #: what a worker does with it; None when none does
    pages_done: int
    page_count: int | None
    chunks_done: int
    chunk_count: int | None
    reason: str | None  #: with ``detail``: set while FAILED
    detail: str | None
    duplicate_of: str | None
    created_at: datetime
    queued_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, body: Json) -> Self:
        """From the JSON of a file."""
        progress, failure = body["progress"], body["failure"] or {}
        return cls(
            id=body["id"],
            name=body["name"],
            size_bytes=body["size_bytes"],
            visibility=body["visibility"],
            status=body["status"],
            stage=body["stage"],
            pages_done=progress["pages_done"],
            page_count=progress["page_count"],
            chunks_done=progress["chunks_done"],
            chunk_count=progress["chunk_count"],
            reason=failure.get("reason"),
            detail=failure.get("detail"),
            duplicate_of=body["duplicate_of"],
            created_at=datetime.fromisoformat(body["created_at"]),
            queued_at=_time(body["queued_at"]),
            finished_at=_time(body["finished_at"]),
        )

    @property
    def is_final(self) -> bool:
        """Whether nothing more happens to it by itself."""
        return self.status in FINAL

    @property
    def seconds(self) -> float | None:
        """From its confirmation to its end, by the database's clock."""
        if self.queued_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.queued_at).total_seconds()


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage of a file."""

    text: str
    page_start: int | None
    page_end: int | None
    heading_path: list[str]

    @classmethod
    def of(cls, body: Json) -> Self:
        """From the JSON of a chunk."""
        return cls(body["text"], body["page_start"], body["page_end"], body["heading_path"])


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage and the file that it is from; with a score where a search found it."""

    file_name: str
    page_start: int | None
    page_end: int | None
    heading_path: list[str]
    text: str
    score: float | None = None
    similarity: float | None = None

    @classmethod
    def of(cls, body: Json) -> Self:
        """From the JSON of a search result."""
        return cls(
            file_name=body["file"]["name"],
            page_start=body["page_start"],
            page_end=body["page_end"],
            heading_path=list(body["heading_path"]),
            text=body["text"],
            score=body["score"],
            similarity=body["similarity"],
        )

    @classmethod
    def of_chunk(cls, file: File, chunk: Chunk) -> Self:
        """A chunk that was not searched for."""
        return cls(file.name, chunk.page_start, chunk.page_end, chunk.heading_path, chunk.text)


@dataclass(frozen=True, slots=True)
class Found:
    """The answer to a search, best passages first."""

    passages: list[Passage]
    degraded: bool  #: found by words alone, because the query could not be embedded
    took_ms: float

    @classmethod
    def of(cls, body: Json) -> Self:
        """From the JSON of a search's answer."""
        passages = [Passage.of(each) for each in body["results"]]
        return cls(passages, body["degraded"], body["took_ms"])


def _time(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value)
