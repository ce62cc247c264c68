"""What the api answers, as its callers read it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

Json = dict[str, Any]

#: Nothing more happens to such a file by itself.
FINAL = frozenset({"COMPLETED", "DUPLICATE", "FAILED"})

#: What a request of a conversation takes: messages with the question, characters of each.
_MESSAGES, _CHARACTERS = 20, 4_000


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
    """A passage and the file that it is from; with scores in the answer to a search."""

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
        """From the JSON of a search result, or of a citation."""
        return cls(
            file_id=body["file"]["id"],
            file_name=body["file"]["name"],
            chunk_id=body["chunk_id"],
            page_start=body["page_start"],
            page_end=body["page_end"],
            heading_path=list(body["heading_path"]),
            text=body["text"],
            score=body.get("score"),
            similarity=body.get("similarity"),
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
class Message:
    """What one side of a conversation said."""

    role: str  #: ``user`` or ``assistant``
    content: str


@dataclass(frozen=True, slots=True)
class Citation:
    """A passage that an answer rests on."""

    number: int  #: where the answer says ``[1]``, it rests on number 1
    passage: Passage
    quote: str | None  #: words of the passage; None: the passage as a whole

    @classmethod
    def of(cls, body: Json) -> Self:
        """From the JSON of a citation."""
        return cls(body["number"], Passage.of(body), body["quote"])


@dataclass(frozen=True, slots=True)
class Notice:
    """Why no model wrote an answer."""

    code: str  #: for programs, as ``no_model``
    detail: str  #: a sentence for people

    @classmethod
    def of(cls, body: Json | None) -> Self | None:
        """From the JSON of a notice."""
        return None if body is None else cls(body["code"], body["detail"])


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a question."""

    answer: str
    answered: bool  #: whether anything that was found answers it; if not, ``answer`` says so
    citations: list[Citation]
    model: str | None  #: which one wrote it; None: it is quotes, and ``notice`` says why
    notice: Notice | None
    degraded: bool  #: found by words alone, because the question could not be embedded
    took_ms: float
    history: tuple[Message, ...]  #: what was said, for the next question

    @classmethod
    def of(cls, body: Json, asked: Sequence[Message]) -> Self:
        """From the JSON of a chat's answer and the messages that it was asked with."""
        return cls(
            answer=body["answer"],
            answered=body["answered"],
            citations=[Citation.of(each) for each in body["citations"]],
            model=body["model"],
            notice=Notice.of(body["notice"]),
            degraded=body["degraded"],
            took_ms=body["took_ms"],
            history=latest((*asked, Message("assistant", body["answer"]))),
        )


def latest(said: Sequence[Message]) -> tuple[Message, ...]:
    """The end of a conversation that one request takes beside its question.

    It begins with a question, and what is too long of a message is cut off.
    """
    kept = [
        Message(each.role, each.content.strip()[:_CHARACTERS])
        for each in said
        if each.content.strip()
    ]
    del kept[: -(_MESSAGES - 1)]
    while kept and kept[0].role != "user":
        del kept[0]
    return tuple(kept)


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
