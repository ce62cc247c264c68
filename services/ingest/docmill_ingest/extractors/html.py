"""HTML pages, by ``unstructured``: headings from tags, tables, no scripts, no styles."""

import re
from collections.abc import Iterator
from pathlib import Path

from docmill_ingest.blocks import Block
from docmill_ingest.extractors import Context
from docmill_ingest.extractors.charsets import decode
from docmill_ingest.extractors.elements import NO_LANGUAGE_DETECTION, blocks, partitioner

_partition = partitioner("html", "partition_html")
#: The charset that a page (or an XHTML declaration) names for itself, in its first kilobytes.
_CHARSET = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([A-Za-z0-9_.:-]{2,40})""")


def extract(path: Path, context: Context) -> Iterator[Block]:
    data = path.read_bytes()
    declared = _CHARSET.search(data[:4096])
    yield from page_blocks(decode(data, declared[1].decode("ascii") if declared else None))


def page_blocks(text: str) -> Iterator[Block]:
    """The blocks of a page that is already text."""
    text = text.replace("\0", "")
    if text.strip():
        yield from blocks(_partition(text=text, languages=NO_LANGUAGE_DETECTION))
