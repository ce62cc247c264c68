"""PowerPoint presentations, by ``unstructured``: shapes in reading order, tables.

A page is a slide; its title is its heading, and the speaker's notes, which unstructured would
put first and without a sign, follow it.
"""

import re
import zipfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from docmill_ingest.blocks import Block, PageCount
from docmill_ingest.extractors import Context, office_archives
from docmill_ingest.extractors.elements import NO_LANGUAGE_DETECTION, blocks, partitioner
from docmill_ingest.extractors.pages import check_page_count

_partition = partitioner("pptx", "partition_pptx")
#: A slide where the presentation lists what it shows; one part may be shown many times.
_SLIDE = re.compile(rb"<(?:\w+:)?sldId\b")


def extract(path: Path, context: Context) -> Iterator[Block | PageCount]:
    names = office_archives.check(path, context.limits)
    slides = _count_slides(path)
    check_page_count(slides, "slides", context.limits)
    yield PageCount(slides)
    has_notes = any(name.startswith("ppt/notesSlides/") for name in names)
    notes = _notes(path) if has_notes else {}
    elements = _partition(str(path), include_page_breaks=False, languages=NO_LANGUAGE_DETECTION)
    for page, slide in groupby(elements, key=lambda element: element.metadata.page_number):
        # unstructured goes from top to bottom; what stands above the title would be filed under
        # the slide before.
        yield from blocks(sorted(slide, key=lambda element: element.category != "Title"))
        if text := notes.pop(page or 0, ""):
            yield Block(f"Notes: {text}", page)
    for page, text in notes.items():  # slides that hold nothing but pictures
        yield Block(f"Notes: {text}", page)


def _count_slides(path: Path) -> int:
    with zipfile.ZipFile(path) as archive:
        return len(_SLIDE.findall(archive.read("ppt/presentation.xml")))


def _notes(path: Path) -> dict[int, str]:
    """The speaker's notes by slide, where there are any."""
    from pptx import Presentation

    found = {}
    for page, slide in enumerate(Presentation(str(path)).slides, start=1):
        frame = slide.notes_slide.notes_text_frame if slide.has_notes_slide else None
        if frame is not None and frame.text.strip():
            found[page] = frame.text.strip()
    return found
