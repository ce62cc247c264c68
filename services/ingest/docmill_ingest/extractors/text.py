"""Plain text: paragraphs, streamed, whatever the charset."""

from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from docmill_ingest.blocks import Block
from docmill_ingest.extractors import Context
from docmill_ingest.extractors.charsets import open_text

#: A paragraph that goes on for longer (a log, a text without blank lines) ends at a line's end.
_PARAGRAPH_CHARACTERS = 4_000
_LINE_CHARACTERS = 64 * 1024


def extract(path: Path, context: Context) -> Iterator[Block]:
    """One block per paragraph: lines up to a blank one, their breaks kept."""
    with open_text(path) as stream:
        for paragraph in paragraphs(stream):
            yield Block(paragraph)


def paragraphs(stream: TextIO) -> Iterator[str]:
    """The paragraphs of a text, without NUL characters."""
    lines: list[str] = []
    size = 0
    # A file may be one endless line, hence the bound.
    while raw := stream.readline(_LINE_CHARACTERS):
        line = raw.replace("\0", "").rstrip()
        if line:
            lines.append(line)
            size += len(line)
        if lines and (not line or size >= _PARAGRAPH_CHARACTERS):
            yield "\n".join(lines)
            lines, size = [], 0
    if lines:
        yield "\n".join(lines)
