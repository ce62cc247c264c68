"""Cuts a stream of blocks into overlapping passages, each of which knows its place.

The extracted text of a file is its blocks joined by blank lines. Every passage is a slice of it:
``passage.text == extracted_text[passage.char_start:passage.char_end]``. Cuts fall, in this order
of preference, before a heading, between paragraphs, after a line or sentence, between words;
inside a word only where one "word" is longer than a whole passage.

Only the text of about two passages is in memory at a time.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from docmill_ingest.blocks import Block

SEPARATOR = "\n\n"

#: A sentence ends after . ! ? and closing quotes before white space, after the full stops of
#: scripts that put no space there, or at the end of a line.
_SENTENCE_END = re.compile(r"[.!?…][\"'”’)\]]*\s+|[。！？｡।]\s*|\n+")
_WORD_END = re.compile(r"\s+")

#: A cut at a better place may leave a passage this much shorter than one at a worse place.
_SHORTEST = 0.5


@dataclass(frozen=True, slots=True)
class Slice:
    """One passage before its tokens are counted."""

    text: str
    page_start: int | None
    page_end: int | None
    heading_path: tuple[str, ...]
    char_start: int
    char_end: int


@dataclass(frozen=True, slots=True)
class _Mark:
    """Where a block starts in the extracted text, and what holds from there on."""

    position: int
    page: int | None
    heading_path: tuple[str, ...]
    opens_section: bool


class Chunker:
    """Cuts blocks into passages of about ``size`` characters that share ``overlap``."""

    def __init__(self, size: int, overlap: int) -> None:
        if not 0 <= overlap < size:
            raise ValueError("The overlap must be shorter than a passage.")
        self._size = size
        self._overlap = overlap
        self._text = ""  # the extracted text from _offset on
        self._offset = 0
        self._start = 0  # where the next passage starts, absolute
        self._marks: list[_Mark] = []
        self._headings: list[tuple[int, str]] = []

    def cut(self, blocks: Iterable[Block]) -> Iterator[Slice]:
        """Yield the passages of a document in order."""
        for block in blocks:
            if not block.text.strip():
                continue
            self._append(block)
            while self._end_of_text() - self._start > self._size:
                yield from self._next()
        while self._end_of_text() - self._start > 0:
            yield from self._next()

    def _append(self, block: Block) -> None:
        if block.heading_level:
            while self._headings and self._headings[-1][0] >= block.heading_level:
                self._headings.pop()
            self._headings.append((block.heading_level, " ".join(block.text.split())))
        if self._marks:
            self._text += SEPARATOR
        self._marks.append(
            _Mark(
                position=self._end_of_text(),
                page=block.page,
                heading_path=tuple(title for _, title in self._headings),
                opens_section=block.heading_level > 0,
            )
        )
        self._text += block.text.strip()

    def _end_of_text(self) -> int:
        return self._offset + len(self._text)

    def _next(self) -> Iterator[Slice]:
        """Cut one passage at ``_start`` and move ``_start`` to where the next one begins."""
        section = self._next_section()
        limit = min(self._start + self._size, self._end_of_text() if section is None else section)
        at_section = limit == section
        end = limit if at_section or limit == self._end_of_text() else self._best_cut(limit)
        text = self._between(self._start, end)
        stripped = text.strip()
        if stripped:
            lead = self._start + len(text) - len(text.lstrip())
            yield self._slice(lead, lead + len(stripped))
        following = end if at_section or end >= self._end_of_text() else self._overlap_start(end)
        self._start = max(following, self._start + 1)
        self._forget()

    def _next_section(self) -> int | None:
        """Where the section at ``_start`` must end: at the next heading that is not too near."""
        shortest = self._start + int(self._size * _SHORTEST / 2)
        for mark in self._marks:
            if mark.opens_section and mark.position >= shortest:
                return mark.position if mark.position <= self._start + self._size else None
        return None

    def _best_cut(self, limit: int) -> int:
        shortest = self._start + int(self._size * _SHORTEST)
        paragraphs = [m.position for m in self._marks if shortest <= m.position <= limit]
        if paragraphs:
            return paragraphs[-1]
        window = self._between(shortest, limit + 1)
        for pattern in (_SENTENCE_END, _WORD_END):
            ends = [shortest + match.end() for match in pattern.finditer(window)]
            ends = [end for end in ends if end <= limit]
            if ends:
                return ends[-1]
        # The second half holds no white space at all; look at the first before cutting a "word".
        window = self._between(self._start, limit)
        words = [self._start + match.end() for match in _WORD_END.finditer(window.rstrip())]
        return words[-1] if words and words[-1] > self._start else limit

    def _overlap_start(self, end: int) -> int:
        """The first start of a sentence, or else of a word, within the overlap before ``end``."""
        earliest = max(end - self._overlap, self._start + 1)
        window = self._between(earliest, end)
        for pattern in (_SENTENCE_END, _WORD_END):
            starts = [earliest + match.end() for match in pattern.finditer(window)]
            starts = [start for start in starts if start < end]
            if starts:
                return starts[0]
        return end

    def _slice(self, start: int, end: int) -> Slice:
        positions = [mark.position for mark in self._marks]
        first = max(bisect_right(positions, start) - 1, 0)
        last = max(bisect_right(positions, end - 1) - 1, 0)
        inside = self._marks[first : last + 1]
        pages = [mark.page for mark in inside if mark.page is not None]
        return Slice(
            text=self._between(start, end),
            page_start=min(pages, default=None),
            page_end=max(pages, default=None),
            heading_path=_common_prefix([mark.heading_path for mark in inside]),
            char_start=start,
            char_end=end,
        )

    def _between(self, start: int, end: int) -> str:
        return self._text[start - self._offset : end - self._offset]

    def _forget(self) -> None:
        """Drop the text and the marks that no later passage can need."""
        gone = self._start - self._offset
        # Only once half of it is gone: dropping costs a copy of the rest.
        if gone > self._size and gone * 2 > len(self._text):
            self._text = self._text[gone:]
            self._offset = self._start
            current = bisect_right([mark.position for mark in self._marks], self._start) - 1
            del self._marks[: max(current, 0)]


def _common_prefix(paths: list[tuple[str, ...]]) -> tuple[str, ...]:
    first, last = min(paths), max(paths)
    shared = 0
    while shared < min(len(first), len(last)) and first[shared] == last[shared]:
        shared += 1
    return first[:shared]
