"""PowerPoint presentations, by ``unstructured``: shapes in reading order, tables, notes.

A page is a slide; its title is its heading, and the speaker's notes follow it.
"""

import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from docmill_ingest.blocks import Block, PageCount
from docmill_ingest.extractors import Context, office_archives
from docmill_ingest.extractors.elements import (
    NO_LANGUAGE_DETECTION,
    Element,
    blocks,
    partitioner,
)
from docmill_ingest.extractors.pages import check_page_count

_partition = partitioner("pptx", "partition_pptx")
_SLIDE = re.compile(r"ppt/slides/slide\d+\.xml")


def extract(path: Path, context: Context) -> Iterator[Block | PageCount]:
    names = office_archives.check(path, context.limits)
    slides = sum(_SLIDE.fullmatch(name) is not None for name in names)
    check_page_count(slides, "slides", context.limits)
    yield PageCount(slides)
    elements = _partition(
        str(path),
        include_page_breaks=False,
        include_slide_notes=True,
        languages=NO_LANGUAGE_DETECTION,
    )
    for _, slide in groupby(elements, key=lambda element: element.metadata.page_number):
        yield from _slide(list(slide))


def _slide(elements: list[Element]) -> Iterator[Block]:
    # unstructured goes from top to bottom, notes first; whatever stood before the title would be
    # filed under the slide before.
    notes = [element for element in elements if _is_notes(element)]
    rest = [element for element in elements if not _is_notes(element)]
    yield from blocks(sorted(rest, key=lambda element: element.category != "Title"))
    for element in notes:
        yield Block("Notes: " + element.text, element.metadata.page_number)


def _is_notes(element: Element) -> bool:
    """Text on the slide itself has a depth, notes have none."""
    return element.category == "NarrativeText" and element.metadata.category_depth is None
