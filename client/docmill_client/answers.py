"""What the api answers, as its callers read it."""

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
    media_type: str
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
    sha256: str | None  #: in hexadecimal, once the bytes were read
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
            media_type=body["media_type"],
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
            sha256=body["sha256"],
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

    id: str
    ordinal: int
    text: str
    token_count: int
    page_start: int | None
    page_end: int | None
    heading_path: list[str]
    char_start: int  #: with ``char_end``: where in the extracted text, in characters
    char_end: int

    @classmethod
    def of(cls, body: Json) -> Self:
        """From the JSON of a chunk."""
        return cls(**{name: body[name] for name in cls.__slots__})


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage and the file that it is from; with a score where a search found it."""

    file_id: str
    file_name: str
    chunk_id: str
    page_start: int | None
    page_end: int | None
    heading_path: list[str]
    text: str
    score: float | None = None  #: from 0 to 1; comparable within one answer only
    similarity: float | None = None  #: the cosine; None where the search went by words alone

    @classmethod
    def of(cls, body: Json) -> Self:
        """From the JSON of a search result."""
        return cls(
            file_id=body["file"]["id"],
            file_name=body["file"]["name"],
            chunk_id=body["chunk_id"],
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
        return cls(
            file_id=file.id,
            file_name=file.name,
            chunk_id=chunk.id,
            page_start=chunk.page_start,
            page_end=chunk.page_end,
            heading_path=chunk.heading_path,
            text=chunk.text,
        )

    @property
    def pages(self) -> str:
        """``page 5`` or ``pages 5–6``; nothing for a file without pages."""
        if self.page_start is None:
            return ""
        if self.page_end in (None, self.page_start):
            return f"page {self.page_start}"
        return f"pages {self.page_start}–{self.page_end}"

    @property
    def citation(self) -> str:
        """Where it stands: ``handbook.pdf, page 5: 4 Power › 4.1 How long the battery lasts``."""
        place = f"{self.file_name}, {self.pages}" if self.pages else self.file_name
        return f"{place}: {' › '.join(self.heading_path)}" if self.heading_path else place


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


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a file."""

    id: str | None  #: as ``last_event_id``, where one who comes back goes on
    type: str  #: ``progress``, ``state`` (what is known, after a gap) or ``deleted``
    data: Json

    @property
    def file_id(self) -> str:
        """Which file it is about."""
        return str(self.data["file_id"])

    @property
    def status(self) -> str:
        """The file's status by then."""
        return str(self.data["status"])


def _time(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value)
