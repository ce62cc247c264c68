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
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_BLOCK_CHARACTERS = 16_000
_LINE_CHARACTERS = 64 * 1024


def extract(path: Path, context: Context) -> Iterator[Block]:
    """Headings as blocks with a level; code blocks and paragraphs as their source text."""
    lines: list[str] = []
    size = 0
    fence = ""

    def flush() -> Iterator[Block]:
        nonlocal size
        if lines:
            yield Block("\n".join(lines))
        lines.clear()
        size = 0

    with open_text(path) as stream:
        while raw := stream.readline(_LINE_CHARACTERS):
            line = raw.replace("\0", "").rstrip()
            if fence:
                lines.append(line)
                size += len(line)
                if _closes(fence, line):
                    fence = ""
                    yield from flush()
            elif opening := _FENCE.match(line):
                yield from flush()
                fence = opening[1]
                lines.append(line)
            elif heading := _HEADING.match(line):
                yield from flush()
                yield Block(_plain(heading[2] or ""), heading_level=len(heading[1]))
            elif len(lines) == 1 and (underline := _UNDERLINE.match(line)):
                title = lines.pop()
                yield Block(_plain(title), heading_level=1 if underline[1][0] == "=" else 2)
                size = 0
            elif line:
                lines.append(line)
                size += len(line)
            else:
                yield from flush()
            if size >= _BLOCK_CHARACTERS:
                yield from flush()
    yield from flush()


def _closes(fence: str, line: str) -> bool:
    mark = line.strip()
    return len(mark) >= len(fence) and mark == fence[0] * len(mark)


def _plain(heading: str) -> str:
    """A heading as it reads, for it becomes part of every passage's heading path."""
    return _EMPHASIS.sub("", _LINK.sub(r"\1", heading)).strip()
