"""What a file really is, judged by its bytes. Called by the pipeline before extraction.

Runs in the worker itself, so it only looks: it decompresses nothing, parses no document, and
reads a bounded part of the file.
"""

import re
import struct
import zipfile
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import NoReturn

import filetype

from docmill_shared import media_types
from docmill_shared.errors import PermanentError
from docmill_shared.media_types import MediaType
from docmill_shared.states import FailureReason

_SAMPLE_BYTES = 64 * 1024
_TEXTUAL = (
    media_types.TEXT,
    media_types.MARKDOWN,
    media_types.CSV,
    media_types.HTML,
    media_types.EML,
)
#: The part that only this kind of Office document has.
_OFFICE_PARTS = {
    media_types.DOCX: "word/document.xml",
    media_types.PPTX: "ppt/presentation.xml",
    media_types.XLSX: "xl/workbook.xml",
}
_ZIP = b"PK\x03\x04"
_EMPTY_ZIP = b"PK\x05\x06"
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
#: Signatures that no text begins with: an image of few colours is otherwise full of "characters".
_IMAGE_SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": media_types.PNG,
    b"\xff\xd8\xff": media_types.JPEG,
}
_RTF = b"{\\rtf"
_UNICODE_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff", b"\xef\xbb\xbf")
#: Bytes that prose, markup and logs do not contain (ESC, for coloured logs, is allowed).
_CONTROL = bytes([*range(0x01, 0x09), *range(0x0E, 0x1B), *range(0x1C, 0x20), 0x7F])
_TAG = re.compile(rb"<[a-z!?/]", re.IGNORECASE)
_MAIL_HEADER = re.compile(rb"\A(?:>?From [^\r\n]*\r?\n)?[!-9;-~]+:[ \t\r\n]", re.ASCII)
#: A central directory beyond this is no document that a person made, and reading it costs memory.
_MAX_DIRECTORY_BYTES = 8 * 1024**2


def sniff(path: Path, declared: MediaType) -> MediaType:
    """The media type of the bytes at ``path``; equal to ``declared``, or it raises.

    Plain text has no signature of its own, so bytes that read as text are taken for whichever
    textual type was declared, where that is plausible.

    Raises PermanentError: EMPTY_FILE, TYPE_MISMATCH, ENCRYPTED (a password-protected Office
    file), CORRUPT (a zip container that is cut off).
    """
    with path.open("rb") as stream:
        sample = stream.read(_SAMPLE_BYTES)
    if not sample:
        raise PermanentError(
            FailureReason.EMPTY_FILE, "The file is empty (0 bytes); upload it again."
        )
    if sample.startswith((_ZIP, _EMPTY_ZIP)):
        return _sniff_zip(path, declared)
    if sample.startswith(_OLE):
        return _refuse_ole(path, declared)
    if b"%PDF-" in sample[:1024] and (declared is media_types.PDF or sample.startswith(b"%PDF-")):
        return _expect(media_types.PDF, declared)
    if sample.startswith(_RTF):
        _mismatch("an RTF document", declared)
    for signature, image in _IMAGE_SIGNATURES.items():
        if sample.startswith(signature):
            return _expect(image, declared)
    # Text comes before the signature table, for some signatures are two letters: "BM" is a
    # bitmap, and the start of a sentence about cars.
    if looks_like_text(sample):
        return _sniff_text(sample, declared)
    guess = filetype.guess_mime(sample)
    found = media_types.find(guess) if guess else None
    if found in media_types.IMAGES and found is not None:
        return _expect(found, declared)
    _mismatch(f"a file of type {guess}" if guess else "binary data of an unknown kind", declared)


def looks_like_text(sample: bytes) -> bool:
    """Whether the bytes can be text in some charset, a stray NUL here and there included."""
    if sample.startswith(_UNICODE_MARKS):
        return True
    controls = len(sample) - len(sample.translate(None, _CONTROL))
    if controls > len(sample) * 0.02:
        return False
    zeros = sample.count(0)
    if zeros <= len(sample) * 0.1:
        return True
    # UTF-16 and UTF-32 without a mark: western text has its zeros in fixed columns of four.
    columns = [sample[n::4].count(0) for n in range(4)]
    quarter = len(sample) / 4
    return max(columns) > 0.4 * quarter and min(columns) < 0.1 * quarter


def _sniff_text(sample: bytes, declared: MediaType) -> MediaType:
    if declared not in _TEXTUAL:
        _mismatch("plain text", declared)
    visible = sample.replace(b"\0", b"").lstrip(b"\xff\xfe\xef\xbb\xbf \t\r\n")
    if declared is media_types.HTML and visible and not _TAG.search(visible):
        _mismatch("plain text without any HTML tag", declared)
    if declared is media_types.EML and visible and not _MAIL_HEADER.match(visible):
        _mismatch("plain text without the header lines of an e-mail", declared)
    return declared


def _sniff_zip(path: Path, declared: MediaType) -> MediaType:
    names = _member_names(path)
    if names is None:
        if declared in _OFFICE_PARTS:
            raise PermanentError(
                FailureReason.CORRUPT,
                f"The {declared.label} is damaged or was cut off during a transfer; "
                "open it in its program, save it again and upload the new copy.",
            )
        _mismatch("a (damaged) zip archive", declared)
    for media_type, part in _OFFICE_PARTS.items():
        if part in names:
            return _expect(media_type, declared)
    if "mimetype" in names and "content.xml" in names:
        _mismatch("an OpenDocument file", declared)
    _mismatch("a zip archive", declared)


def _member_names(path: Path) -> frozenset[str] | None:
    """The names in the archive's directory, or None where the directory is missing or absurd."""
    with path.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(0, size - 66_000))  # the end record, and a comment of at most 64 KiB
        tail = stream.read()
    end = tail.rfind(_EMPTY_ZIP)
    if end < 0 or len(tail) < end + 22:
        return None
    (directory_bytes,) = struct.unpack_from("<I", tail, end + 12)
    if directory_bytes > _MAX_DIRECTORY_BYTES:
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            return frozenset(archive.namelist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, struct.error):
        return None


def _refuse_ole(path: Path, declared: MediaType) -> NoReturn:
    """OLE holds Office 97 files, and the encrypted form of today's; docmill reads neither."""
    with path.open("rb") as stream, mmap(stream.fileno(), 0, access=ACCESS_READ) as content:
        encrypted = content.find("EncryptedPackage".encode("utf-16-le")) >= 0
    if encrypted and declared in _OFFICE_PARTS:
        raise PermanentError(
            FailureReason.ENCRYPTED,
            f"The {declared.label} is protected by a password; "
            "remove the protection and upload it again.",
        )
    _mismatch("a file in the old format of Office 97 to 2003 (or Outlook)", declared)


def _expect(found: MediaType, declared: MediaType) -> MediaType:
    if found is not declared:
        article = "an" if found.label[0] in "AEIOUaeiou" else "a"
        _mismatch(f"{article} {found.label}", declared)
    return found


def _mismatch(found: str, declared: MediaType) -> NoReturn:
    raise PermanentError(
        FailureReason.TYPE_MISMATCH,
        f"The file was declared as {declared.label} ({declared.name}) but its content is {found}; "
        "upload it again under its real type.",
    )
