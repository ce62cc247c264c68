"""HTML pages, by ``unstructured``: headings from tags, tables, no scripts, no styles.

Before it sees a page, two habits of old pages and of most e-mails are undone: tables that only
arrange the page (unstructured takes each for one table, its headings lost and its scripts read
as text), and pairs of ``<br>`` in place of paragraphs.
"""

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from lxml import etree, html

from docmill_ingest.blocks import Block
from docmill_ingest.extractors import Context
from docmill_ingest.extractors.charsets import decode
from docmill_ingest.extractors.elements import NO_LANGUAGE_DETECTION, blocks, partitioner
from docmill_shared.errors import PermanentError
from docmill_shared.states import FailureReason

_partition = partitioner("html", "partition_html")
#: The charset that a page (or an XHTML declaration) names for itself, in its first kilobytes.
_CHARSET = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([A-Za-z0-9_.:-]{2,40})""")
_PARAGRAPH_BREAK = re.compile(r"<br\s*/?>(?:\s|&nbsp;)*(?:<br\s*/?>(?:\s|&nbsp;)*)+", re.IGNORECASE)
#: libxml2 drops what follows these; browsers do not, and mail servers put their lines there.
_PAGE_END = re.compile(r"</(?:body|html)\s*>", re.IGNORECASE)
_INVISIBLE = ("script", "style", "template", "noscript")
#: What stands in a page, not in the cell of a table of data.
_PAGE_CONTENT = "descendant::*[self::table or self::h1 or self::h2 or self::h3 or self::hr][1]"
_TABLE_TAGS = {"table", "thead", "tbody", "tfoot", "tr", "td", "th"}


def extract(path: Path, context: Context) -> Iterator[Block]:
    data = path.read_bytes()
    declared = _CHARSET.search(data[:4096])
    yield from page_blocks(decode(data, declared[1].decode("ascii") if declared else None))


def page_blocks(text: str) -> Iterator[Block]:
    """The blocks of a page that is already text."""
    page = _PARAGRAPH_BREAK.sub("<hr>", _PAGE_END.sub("", text.replace("\0", "")))
    if not page.strip():
        return
    parser = html.HTMLParser(
        encoding="utf-8", remove_comments=True, remove_pis=True, huge_tree=True
    )
    root = etree.fromstring(page.encode("utf-8", "replace"), parser)
    if parser.error_log.filter_from_errors().filter_types(etree.ErrorTypes.ERR_RESOURCE_LIMIT):
        # libxml2 gives up there and tells nobody: half a page would pass for all of it.
        raise PermanentError(
            FailureReason.CORRUPT,
            "The parts of this HTML page are nested too deeply to be read.",
        )
    if root is None:
        return
    etree.strip_elements(root, *_INVISIBLE, with_tail=False)
    for table in root.xpath("//table"):
        if table.xpath(_PAGE_CONTENT):
            _unwrap(table)
    page = etree.tostring(root, encoding="unicode", method="html")
    yield from blocks(_partition(text=page, languages=NO_LANGUAGE_DETECTION))


def _lift_limits() -> None:
    """Give unstructured a parser that reads on after 10 MB of one text, such as a picture inline.

    Its own would drop the rest of the page without a word. Memory and time are bounded anyway.
    """
    theirs = import_module("unstructured.partition.html.parser")
    parser = etree.HTMLParser(remove_comments=True, remove_pis=True, huge_tree=True)
    parser.set_element_class_lookup(theirs.element_class_lookup)
    vars(import_module("unstructured.partition.html.partition"))["html_parser"] = parser


def _unwrap(table: etree._Element) -> None:
    """Make the table's own cells plain sections of the page."""
    pending = [table]
    while pending:
        element = pending.pop()
        element.tag = "div"
        pending += [child for child in element if child.tag in _TABLE_TAGS - {"table"}]


_lift_limits()
