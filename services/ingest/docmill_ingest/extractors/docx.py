"""Word documents, by ``unstructured``: headings from styles, list numbers as Word shows them,
tables, and page numbers where Word recorded its page breaks.
"""

from collections.abc import Iterator
from pathlib import Path

from docmill_ingest.blocks import Block
from docmill_ingest.extractors import Context, office_archives
from docmill_ingest.extractors.elements import NO_LANGUAGE_DETECTION, blocks, partitioner

_partition = partitioner("docx", "partition_docx")


def extract(path: Path, context: Context) -> Iterator[Block]:
    office_archives.check(path, context.limits)
    yield from blocks(
        _partition(str(path), include_page_breaks=False, languages=NO_LANGUAGE_DETECTION)
    )
