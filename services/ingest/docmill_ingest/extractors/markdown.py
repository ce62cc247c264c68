"""Markdown: headings give the outline, fenced code stays in one piece, the rest is paragraphs.

A parser of lines rather than a library: a passage is shown as its author wrote it, so there is
nothing to render, and lines can be streamed.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from docmill_ingest.blocks import Block
from docmill_ingest.extractors import Context
from docmill_ingest.extractors.charsets import open_text

_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*\Z")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*\Z")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_EMPHASIS = re.compile(r"[*_`]{1,3}(?=\S)|(?<=\S)[*_`]{1,3}")
_LINK = re.compile(r"!?\[([^\[\]]{0,500})\]\([^()\s]{0,2000}[^()]{0,200}\)")
_BLOCK_CHARACTERS = 16_000
_LINE_CHARACTERS = 64 * 1024


def extract(path: Path, context: Context) -> Iterator[Block]:
    """Headings as blocks with a level; code blocks and paragraphs as their source text."""
    outline = _Outline()
    with open_text(path) as stream:
        while raw := stream.readline(_LINE_CHARACTERS):
            yield from outline.add(raw.replace("\0", "").rstrip())
    yield from outline.flush()


class _Outline:
    """Collects lines until they are a block."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._size = 0
        self._fence = ""  # the marks that opened the code block we are in

    def add(self, line: str) -> Iterator[Block]:
        """Take one line; yields what it completes."""
        if self._fence:
            self._collect(line)
            if _closes(self._fence, line):
                self._fence = ""
                yield from self.flush()
        elif opening := _FENCE.match(line):
            yield from self.flush()
            self._fence = opening[1]
            self._collect(line)
        elif heading := _HEADING.match(line):
            yield from self.flush()
            yield Block(_plain(heading[2] or ""), heading_level=len(heading[1]))
        elif len(self._lines) == 1 and (underline := _UNDERLINE.match(line)):
            yield Block(_plain(self._lines[0]), heading_level=1 if underline[1][0] == "=" else 2)
            self._forget()
        elif line:
            self._collect(line)
        else:
            yield from self.flush()
        if self._size >= _BLOCK_CHARACTERS:
            yield from self.flush()

    def flush(self) -> Iterator[Block]:
        """What was collected, as a block."""
        if self._lines:
            yield Block("\n".join(self._lines))
        self._forget()

    def _collect(self, line: str) -> None:
        self._lines.append(line)
        self._size += len(line)

    def _forget(self) -> None:
        self._lines = []
        self._size = 0


def _closes(fence: str, line: str) -> bool:
    mark = line.strip()
    return len(mark) >= len(fence) and mark == fence[0] * len(mark)


def _plain(heading: str) -> str:
    """A heading as it reads, for it becomes part of every passage's heading path."""
    return _EMPHASIS.sub("", _LINK.sub(r"\1", heading)).strip()
