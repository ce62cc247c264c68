"""Text, CSV, HTML and Markdown that no one wrote by hand."""

import random

from tests.hostile.archives import TEXT


def one_line(megabytes: int) -> bytes:
    """A single line, without a single space."""
    return b"abcdefghij" * (megabytes * 100_000)


def mixed_encodings() -> bytes:
    """UTF-8, Latin-1, UTF-16, surrogates and NUL bytes, in turn."""
    parts = [
        "Grüße aus Köln.\n\n".encode(),
        "Grüße aus Köln.\n\n".encode("latin-1"),
        b"\xed\xa0\x80\xed\xbf\xbf lone surrogates \xf4\x90\x80\x80\n\n",
        b"\xc0\xaf overlong \xe0\x80\xaf\n\n",
        b"NUL \0 inside \0 words\n\n",
        TEXT.encode() + b"\n\n",
    ]
    return b"".join(parts * 200)


def broken_utf16() -> bytes:
    """UTF-16 by its mark, with an odd number of bytes and lone surrogates."""
    return b"\xff\xfe" + f"{TEXT}\n\n".encode("utf-16-le") * 50 + b"\x00\xd8\x00\xd8\x41"


def noise_with_a_mark(size: int = 200_000) -> bytes:
    """Bytes at random behind a mark of UTF-16."""
    return b"\xff\xfe" + random.Random(7).randbytes(size)


def million_columns() -> bytes:
    """Two rows of a million cells."""
    header = ",".join(f"c{number}" for number in range(1_000_000))
    return f"{header}\n{','.join(['1'] * 1_000_000)}\n".encode()


def unclosed_quote() -> bytes:
    """A quotation mark that opens a cell of ten megabytes."""
    return b'name,text\nAda,"' + b"never closed, \n" * 700_000


def deep_html(depth: int) -> bytes:
    """Elements in elements."""
    return b"<html><body>" + b"<div>" * depth + TEXT.encode() + b"</div>" * depth


def deep_lists(depth: int) -> bytes:
    """Lists in lists, which have headings of their own."""
    return b"<html><body><h1>Top</h1>" + b"<ul><li>x" * depth + b"</li></ul>" * depth


def deep_tables(depth: int) -> bytes:
    """Tables in tables."""
    return b"<table><tr><td>x" * depth + TEXT.encode() + b"</td></tr></table>" * depth


def many_attributes(count: int) -> bytes:
    """One element of many attributes, all different."""
    attributes = " ".join(f'a{number}="{number}"' for number in range(count))
    return f"<html><body><p {attributes}>{TEXT}</p></body></html>".encode()


def long_attribute(megabytes: int) -> bytes:
    """One attribute of megabytes."""
    value = b"x" * (megabytes * 1024**2)
    return b'<html><body><p title="' + value + b'">' + TEXT.encode() + b"</p></body></html>"


def breaks(count: int) -> bytes:
    """Line breaks and spaces, for a pattern that looks for pairs of them."""
    return b"<html><body>" + b"<br" + b" " * count + b"<br>" + b" &nbsp;" * count + TEXT.encode()


def long_heading(kilobytes: int = 90) -> bytes:
    """Markdown: headings as long as a chapter at every level, above a thousand paragraphs."""
    title = "word " * (kilobytes * 1024 // 5)
    headings = "\n".join(f"{'#' * level} {title[:60_000]}" for level in range(1, 7))
    body = "\n\n".join(f"{TEXT} {number} " * 25 for number in range(1_000))
    return f"{headings}\n\n{body}".encode()


def open_brackets() -> bytes:
    """Markdown: headings of unfinished links, for a pattern that looks for links."""
    return (b"# " + b"[a](" * 15_000 + b"\n\n" + TEXT.encode() + b"\n\n") * 20


def gif_and_page() -> bytes:
    """A file that is a GIF by its first letters, a script and a page."""
    return b"GIF89a/*" + b" " * 64 + b"*/=1;\n<html><script>alert(1)</script><p>" + TEXT.encode()
