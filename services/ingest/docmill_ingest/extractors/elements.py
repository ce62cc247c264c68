"""The way to and from ``unstructured``: how it is loaded, and its elements as blocks.

It is loaded without spaCy. unstructured asks spaCy, sentence by sentence, whether a paragraph
without a style is "narrative text" or a "title"; docmill takes headings from styles and tags only,
and has no use for the answer. Measured on an 872-page DOCX: 25 s and 170 MB with it, 3.4 s and
110 MB without, and nothing is left that could download a language model at run time.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType
from typing import Protocol, cast

from docmill_ingest.blocks import Block
from docmill_ingest.extractors.tables import labelled_rows

#: For every partitioner: the document's language is not detected (1.2 s a document).
NO_LANGUAGE_DETECTION = [""]


class Metadata(Protocol):
    page_number: int | None
    category_depth: int | None
    text_as_html: str | None


class Element(Protocol):
    """What docmill reads of an ``unstructured.documents.elements.Element``."""

    category: str
    text: str
    metadata: Metadata


Partition = Callable[..., list[Element]]


def partitioner(module: str, name: str) -> Partition:
    """The function ``unstructured.partition.{module}.{name}``."""
    _load_without_spacy()
    loaded = __import__(f"unstructured.partition.{module}", fromlist=[name])
    return cast(Partition, getattr(loaded, name))


def _load_without_spacy() -> None:
    if "unstructured" in sys.modules:
        return
    os.environ["DO_NOT_TRACK"] = "1"  # it reports usage to its makers otherwise
    os.environ["UNSTRUCTURED_DISABLE_NOTICE"] = "1"
    os.environ["UNSTRUCTURED_TITLE_MAX_WORD_LENGTH"] = "0"  # no paragraph is a title by its looks
    tokenize = ModuleType("unstructured.nlp.tokenize")
    # Every word a verb, every paragraph one sentence: all is narrative, and nobody asks further.
    vars(tokenize).update(
        word_tokenize=str.split,
        pos_tag=lambda text: [(word, "VB") for word in text.split()],
        sent_tokenize=lambda text: [text],
    )
    sys.modules[tokenize.__name__] = tokenize


def blocks(elements: Iterable[Element]) -> Iterator[Block]:
    """The elements in their order. Headers and footers, which repeat, come once each."""
    margins: set[str] = set()
    for element in elements:
        page = element.metadata.page_number
        match element.category:
            case "Table":
                for row in _rows(element):
                    yield Block(row, page)
            case "Title":
                level = min((element.metadata.category_depth or 0) + 1, 9)
                yield Block(" ".join(element.text.split()), page, level)
            case "Header" | "Footer":
                if element.text not in margins:
                    margins.add(element.text)
                    yield Block(element.text, page)
            case "ListItem":
                yield Block("- " + element.text, page) if element.text.strip() else Block("")
            case _:
                yield Block(element.text, page)


def _rows(element: Element) -> Iterator[str]:
    if not element.metadata.text_as_html:
        return iter([element.text])
    from lxml import html

    table = html.fromstring(element.metadata.text_as_html)
    rows = [
        [" ".join(cell.itertext()) for cell in row.xpath("./td|./th")]
        for row in table.xpath("//tr[not(ancestor::td)]")
    ]
    # Two columns are as often a form (label, value) as a table with a header: left as they are.
    return labelled_rows(rows, least_columns=3)
