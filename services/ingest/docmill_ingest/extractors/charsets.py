"""Which charset a text is in. Used by every extractor of a textual format.

UTF-8 is tried first and on the whole file, for it proves itself: text in another charset almost
never happens to be valid UTF-8, and the check runs at hundreds of megabytes a second.
"""

import codecs
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, TextIO

_BLOCK_BYTES = 1024**2
_SAMPLE_BYTES = 32 * 1024
#: UTF-32 first: its little-endian mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)

_SAME_CHAOS = 0.02


@dataclass(frozen=True, slots=True)
class Charset:
    """A codec, and whether a byte here and there may be wrong (it becomes U+FFFD)."""

    encoding: str
    errors: str = "replace"


def detect(path: Path) -> Charset:
    """The charset of the file, in constant memory."""
    with path.open("rb") as stream:
        head = stream.read(_SAMPLE_BYTES)
        if (known := _from_shape(head)) is not None:
            return known
        odd = _first_odd_byte(stream)
        if odd is None:
            return Charset("utf-8")
        # What is special about the file is near its first odd byte, often far from its start.
        stream.seek(max(0, odd - _SAMPLE_BYTES // 2))
        return _legacy(head + stream.read(_SAMPLE_BYTES))


def detect_bytes(data: bytes) -> Charset:
    """The charset of a text that is already in memory."""
    if (known := _from_shape(data[:_SAMPLE_BYTES])) is not None:
        return known
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        middle = max(0, error.start - _SAMPLE_BYTES // 2)
        return _legacy(data[:_SAMPLE_BYTES] + data[middle : middle + _SAMPLE_BYTES])
    return Charset("utf-8")


def open_text(path: Path, *, newline: str | None = None) -> TextIO:
    """The file as a stream of text; NUL characters are still in it."""
    charset = detect(path)
    return path.open(encoding=charset.encoding, errors=charset.errors, newline=newline)


def decode(data: bytes, declared: str | None = None) -> str:
    """The text of ``data``; ``declared`` (by a header or a tag) wins where it fits."""
    if declared and _from_shape(data[:_SAMPLE_BYTES]) is None:
        try:
            return data.decode(declared)
        except (LookupError, ValueError):
            pass  # an unknown name, or one that the bytes contradict
    charset = detect_bytes(data)
    return data.decode(charset.encoding, charset.errors)


def _from_shape(head: bytes) -> Charset | None:
    """UTF-16 and UTF-32: by their mark, or by the zeros that western text has in fixed places."""
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return Charset(encoding)
    if head.count(0) < len(head) * 0.2:
        return None
    quarter = max(1, len(head) // 4)
    zeros = [head[n::4].count(0) / quarter > 0.4 for n in range(4)]
    match zeros:
        case [False, True, True, True]:
            return Charset("utf-32-le")
        case [True, True, True, False]:
            return Charset("utf-32-be")
        case [False, True, False, True]:
            return Charset("utf-16-le")
        case [True, False, True, False]:
            return Charset("utf-16-be")
    return None


def _first_odd_byte(stream: BinaryIO) -> int | None:
    """About where the first byte lies that is not UTF-8, or None when all of it is."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    stream.seek(0)
    offset = 0
    try:
        while block := stream.read(_BLOCK_BYTES):
            decoder.decode(block)
            offset += len(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        return offset + error.start
    return None


def _legacy(sample: bytes) -> Charset:
    """The charset of text that is not UTF-8, by its lines that are not plain ASCII either."""
    sample = b"\n".join(line for line in sample.split(b"\n") if not line.isascii())
    text = sample.decode("utf-8", "replace")
    if text.count("\ufffd") < sum(not character.isascii() for character in text) * 0.1:
        return Charset("utf-8")  # with a damaged spot

    from charset_normalizer import from_bytes  # takes 40 ms to import, for few files

    matches = list(from_bytes(sample, cp_exclusion=["utf_16", "utf_32", "utf_7"]))
    if not matches:
        return Charset("cp1252")
    # The Cyrillic charsets differ most in where they put the capitals, which it does not look at.
    best = min(
        (match for match in matches if match.chaos <= matches[0].chaos + _SAME_CHAOS),
        key=lambda match: _capitals_inside_words(str(match)),
    )
    # What is called Latin-1 in the wild is Windows' superset of it; several names may fit.
    western = {best.encoding, *best.could_be_from_charset} & {"cp1252", "latin_1", "iso8859_15"}
    return Charset("cp1252" if western else best.encoding)


def _capitals_inside_words(text: str) -> int:
    return sum(a.islower() and b.isupper() for a, b in pairwise(text))
