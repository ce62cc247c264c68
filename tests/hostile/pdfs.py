"""PDFs that are large, endless or circular."""

import zlib
from collections.abc import Iterable

from tests.hostile.raw_zip import deflated

_TEXT = b"BT /F1 12 Tf 50 700 Td (The harvest was good that year.) Tj ET"
_FONT = b"<</Font<</F1<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>"
_PAGE = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents 4 0 R/Resources" + _FONT + b">>"
_CATALOG = b"<</Type/Catalog/Pages 2 0 R>>"
_PAGES = b"<</Type/Pages/Kids[3 0 R]/Count 1>>"


def _pdf(objects: Iterable[bytes]) -> bytes:
    """A PDF made of raw objects, the first being the catalog; fast enough for a million."""
    body = bytearray(b"%PDF-1.7\n")
    table = bytearray(b"0000000000 65535 f \n")
    count = 1
    for count, content in enumerate(objects, start=2):
        table += b"%010d 00000 n \n" % len(body)
        body += b"%d 0 obj\n%s\nendobj\n" % (count - 1, content)
    end = b"xref\n0 %d\n%strailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF"
    return bytes(body + end % (count, table, count, len(body)))


def _stream(data: bytes, entries: bytes = b"") -> bytes:
    return b"<<%s/Length %d>>stream\n%s\nendstream" % (entries, len(data), data)


def _one_page(content: bytes, *more: bytes) -> bytes:
    return _pdf([_CATALOG, _PAGES, _PAGE, content, *more])


def million_objects(count: int = 1_000_000) -> bytes:
    """One page of text, and a million objects that nothing refers to."""
    objects = [_CATALOG, _PAGES, _PAGE, _stream(_TEXT)]
    return _pdf([*objects, *[b"null"] * (count - len(objects))])


def million_objects_on_a_page() -> bytes:
    """A page that draws a million lines beside its text."""
    packed = zlib.compress(_TEXT + b" 0 0 m 9 9 l S" * 1_000_000, 1)
    return _one_page(_stream(packed, b"/Filter/FlateDecode"))


def page_tree_that_loops() -> bytes:
    """The tree's only branch is the tree itself."""
    return _pdf([_CATALOG, b"<</Type/Pages/Kids[2 0 R 3 0 R]/Count 2>>", _PAGE, _stream(_TEXT)])


def page_tree_in_a_circle() -> bytes:
    """Two branches, each the other's child and parent, and no page at all."""
    return _pdf(
        [
            _CATALOG,
            b"<</Type/Pages/Kids[3 0 R]/Count 5/Parent 3 0 R>>",
            b"<</Type/Pages/Kids[2 0 R]/Count 5/Parent 2 0 R>>",
        ]
    )


def page_tree_of_depth(depth: int) -> bytes:
    """A page below a chain of branches."""
    chain = [
        b"<</Type/Pages/Kids[%d 0 R]/Count 1/Parent %d 0 R>>" % (number + 1, number - 1)
        for number in range(2, depth + 2)
    ]
    leaf = b"<</Type/Page/Parent %d 0 R/MediaBox[0 0 600 800]/Resources%s>>" % (depth + 1, _FONT)
    return _pdf([_CATALOG, *chain, leaf])


def claimed_pages(count: int) -> bytes:
    """A page tree that claims any number of pages and has one."""
    pages = b"<</Type/Pages/Kids[3 0 R]/Count %d>>" % count
    return _pdf([_CATALOG, pages, _PAGE, _stream(_TEXT)])


def empty_pages(count: int) -> bytes:
    """Pages without anything on them."""
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]>>"
    kids = b" ".join(b"%d 0 R" % number for number in range(3, count + 3))
    pages = b"<</Type/Pages/Kids[%s]/Count %d>>" % (kids, count)
    return _pdf([_CATALOG, pages, *[page] * count])


def stream_bomb(gigabytes: int = 4) -> bytes:
    """A page whose drawing unpacks to gigabytes, packed twice."""
    raw, _ = deflated(_TEXT, b" ", gigabytes * 1024)
    inner = b"\x78\x9c" + raw + b"\0\0\0\0"
    return _one_page(_stream(zlib.compress(inner), b"/Filter[/FlateDecode/FlateDecode]"))


def text_bomb() -> bytes:
    """A thousand pages that all show the same hundred kilobytes of text."""
    line = b"(%s) Tj T* " % (b"spam " * 40)
    packed = zlib.compress(b"BT /F1 1 Tf 1 TL 0 790 Td " + line * 700 + b"ET")
    kids = b"3 0 R " * 1_000
    return _pdf(
        [
            _CATALOG,
            b"<</Type/Pages/Kids[%s]/Count 1000>>" % kids,
            _PAGE,
            _stream(packed, b"/Filter/FlateDecode"),
        ]
    )


def form_that_draws_itself() -> bytes:
    """A form object that draws itself, ten times at each level."""
    entries = b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</X 5 0 R>>>>"
    page = _PAGE.replace(b"/Resources<<", b"/Resources<</XObject<</X 5 0 R>>")
    content = _stream(_TEXT + b" /X Do" * 10)
    form = _stream(b"/X Do " * 10, entries)
    return _pdf([_CATALOG, _PAGES, page, content, form])


def forms_that_multiply(depth: int = 10) -> bytes:
    """Forms that draw the next form ten times: ten to the power of ``depth`` drawings."""
    page = _PAGE.replace(b"/Resources<<", b"/Resources<</XObject<</X 5 0 R>>")
    forms = [
        _stream(
            b"/X Do " * 10,
            b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</X %d 0 R>>>>"
            % (6 + number),
        )
        for number in range(depth)
    ]
    last = _stream(_TEXT, b"/Type/XObject/Subtype/Form/BBox[0 0 600 800]/Resources" + _FONT)
    return _pdf([_CATALOG, _PAGES, page, _stream(_TEXT + b" /X Do"), *forms, last])


def bookmarks_in_a_circle() -> bytes:
    """Bookmarks that follow and contain one another."""
    return _pdf(
        [
            b"<</Type/Catalog/Pages 2 0 R/Outlines 5 0 R>>",
            _PAGES,
            _PAGE,
            _stream(_TEXT),
            b"<</Type/Outlines/First 6 0 R/Last 7 0 R/Count 9>>",
            b"<</Title(One)/Parent 5 0 R/Next 7 0 R/First 7 0 R/Dest[3 0 R/Fit]>>",
            b"<</Title(Two)/Parent 5 0 R/Next 6 0 R/First 6 0 R/Dest[3 0 R/Fit]>>",
        ]
    )


def tables_in_a_circle() -> bytes:
    """A cross-reference table whose predecessor is itself."""
    content = _one_page(_stream(_TEXT))
    start = int(content[content.rindex(b"startxref") + 10 :].split()[0])
    return content.replace(b"/Root 1 0 R>>", b"/Root 1 0 R/Prev %d>>" % start)


def picture_of_claimed_size() -> bytes:
    """A page that shows a picture of 60,000 x 60,000 pixels, of which a kilobyte is there."""
    picture = _stream(
        zlib.compress(b"\0" * 1_000_000),
        b"/Type/XObject/Subtype/Image/Width 60000/Height 60000/BitsPerComponent 8"
        b"/ColorSpace/DeviceRGB/Filter/FlateDecode",
    )
    page = _PAGE.replace(b"/Resources<<", b"/Resources<</XObject<</X 5 0 R>>")
    content = _stream(b"600 0 0 800 0 0 cm /X Do")
    return _pdf([_CATALOG, _PAGES, page, content, picture])


def endless_page() -> bytes:
    """A page that measures a million by a millionth, and draws a line."""
    page = _PAGE.replace(b"[0 0 600 800]", b"[0 0 1000000000 0.000001]")
    return _pdf([_CATALOG, _PAGES, page, _stream(b"0 0 m 9 9 l S")])


def leads_outside(address: str) -> bytes:
    """A PDF that names a file and an address wherever a PDF can."""
    action = b"<</S/URI/URI(%s)>>" % address.encode()
    return _pdf(
        [
            b"<</Type/Catalog/Pages 2 0 R/OpenAction 5 0 R/AA<</WC 5 0 R>>>>",
            _PAGES,
            _PAGE,
            _stream(_TEXT),
            action,
            b"<</Length 0/F(/etc/passwd)/FFilter/FlateDecode>>stream\n\nendstream",
            b"<</S/JavaScript/JS(app.launchURL\\('%s'\\))>>" % address.encode(),
        ]
    )
