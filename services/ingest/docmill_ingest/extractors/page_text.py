"""The text layer of one PDF page, as pdfium gives it, turned into headings and paragraphs."""

import re
from collections.abc import Iterator

from docmill_ingest.blocks import Block

#: pdfium writes this for a hyphen at a line's end, and takes the line break away.
_SOFT_HYPHEN = re.compile("[\x02\ufffe\u00ad](?:\r?\n)?")
_ENDS = (".", "!", "?", ":", ";", "。", "…", '."', ".”", "!”", "?”")
_ITEM = re.compile(r"\s*(?:[•‣▪●○◦*–-]|\d{1,3}[.)]|\(?[a-z]\))\s")
#: A line shorter than this share of the page's long lines may end a paragraph.
_SHORT_LINE = 0.8


def split_page(text: str, page: int, bookmarks: list[tuple[int, str]]) -> Iterator[Block]:
    """The page's blocks. A line that is the title of one of its bookmarks becomes a heading.

    A PDF knows no paragraphs, only lines. One ends where a short line ends a sentence, before an
    item of a list, and at a blank line.
    """
    headings = {_folded(title): min(level, 9) for level, title in bookmarks if title}
    lines = [line.strip() for line in _SOFT_HYPHEN.sub("", text).splitlines()]
    lengths = sorted(len(line) for line in lines if line)
    usual = lengths[len(lengths) * 3 // 4] if lengths else 0
    paragraph: list[str] = []
    for line in lines:
        level = headings.pop(_folded(line), 0) if headings and line else 0
        if paragraph and (not line or level or _ITEM.match(line)):
            yield Block(" ".join(paragraph), page)
            paragraph = []
        if level:
            yield Block(line, page, level)
        elif line:
            paragraph.append(line)
            if len(line) < usual * _SHORT_LINE and line.endswith(_ENDS):
                yield Block(" ".join(paragraph), page)
                paragraph = []
    if paragraph:
        yield Block(" ".join(paragraph), page)


def is_garbage(text: str) -> bool:
    """Whether the layer's fonts do not say which letters they show: a third is not text."""
    odd = sum(
        character == "\ufffd" or "\ue000" <= character <= "\uf8ff" or character < " "
        for character in text
    )
    return odd > len(text) / 3


def _folded(text: str) -> str:
    return "".join(text.split()).casefold()
