"""What a file is follows from its bytes; what was declared must agree."""

import zipfile
from pathlib import Path

import pytest

from docmill_ingest.sniffing import sniff
from docmill_shared import media_types as m
from docmill_shared.errors import PermanentError
from docmill_shared.media_types import MediaType
from docmill_shared.states import FailureReason
from tests import documents

WORD = documents.word(lambda document: document.add_paragraph("Hello"))
EXCEL = documents.excel(Sheet=[["Hello"]])
SLIDES = documents.powerpoint(("Title", "Text", ""))
PDF = documents.pdf("Hello")
PNG = documents.image_bytes(documents.picture("Hello"))


@pytest.mark.parametrize(
    ("content", "declared"),
    [
        (PDF, m.PDF),
        (b"\n\n" + PDF, m.PDF),
        (WORD, m.DOCX),
        (EXCEL, m.XLSX),
        (SLIDES, m.PPTX),
        (PNG, m.PNG),
        (documents.image_bytes(documents.picture("Hello"), "JPEG"), m.JPEG),
        (documents.image_bytes(documents.picture("Hello"), "GIF"), m.GIF),
        (documents.image_bytes(documents.picture("Hello"), "WEBP"), m.WEBP),
        (b"BMW builds cars, and MZ built motorcycles.", m.TEXT),
        (b"a stray \0 in a text of some length is no harm", m.TEXT),
        (b"caf\xe9 in latin-1", m.TEXT),
        ("Hamburgers".encode("utf-16"), m.TEXT),
        ("Hamburgers are delicious".encode("utf-16-be"), m.TEXT),
        ("Hamburgers are delicious".encode("utf-32-le"), m.TEXT),
        ("適用範囲".encode("utf-16"), m.TEXT),
        (b"\x1b[31mERROR\x1b[0m in a coloured log", m.TEXT),
        (b"# Title\n\ntext", m.MARKDOWN),
        (b"a;b\n1;2", m.CSV),
        (b"<p>Hello", m.HTML),
        ("<p>Hello".encode("utf-16"), m.HTML),
        (b"From: a@example.org\r\n\r\nHello", m.EML),
        (b"From a@example.org Mon Jan 1\nSubject: x\n\nHello", m.EML),
        (b" ", m.TEXT),
    ],
)
def test_bytes_that_are_what_they_were_declared_to_be(
    tmp_path: Path, content: bytes, declared: MediaType
) -> None:
    assert sniff(documents.write(tmp_path / "file", content), declared) is declared


@pytest.mark.parametrize(
    ("content", "declared", "found"),
    [
        (PNG, m.PDF, "a PNG image"),
        (PNG, m.JPEG, "a PNG image"),
        (PDF, m.TEXT, "a PDF"),
        (PDF, m.DOCX, "a PDF"),
        (WORD, m.XLSX, "a Word document"),
        (EXCEL, m.DOCX, "an Excel workbook"),
        (WORD, m.PDF, "a Word document"),
        (documents.repacked(WORD, {})[:200], m.PDF, "zip archive"),
        (b"plain text", m.PDF, "plain text"),
        (b"plain text", m.PNG, "plain text"),
        (b"plain text", m.HTML, "HTML tag"),
        (b"no header line here", m.EML, "header lines"),
        (b"{\\rtf1 Hello}", m.TEXT, "RTF"),
        (bytes(range(256)) * 20, m.TEXT, "binary"),
        (b"\x7fELF\x02\x01\x01" + bytes(200), m.CSV, "application/x-executable"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), m.DOCX, "old format"),
    ],
)
def test_a_mismatch_says_what_was_found(
    tmp_path: Path, content: bytes, declared: MediaType, found: str
) -> None:
    with pytest.raises(PermanentError) as caught:
        sniff(documents.write(tmp_path / "file", content), declared)
    assert caught.value.reason is FailureReason.TYPE_MISMATCH
    assert found in caught.value.detail
    assert declared.label in caught.value.detail


def test_a_zip_archive_that_is_no_office_document(tmp_path: Path) -> None:

    path = tmp_path / "file"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "Hello")
    for declared in (m.PDF, m.DOCX, m.TEXT):
        with pytest.raises(PermanentError, match="zip archive") as caught:
            sniff(path, declared)
        assert caught.value.reason is FailureReason.TYPE_MISMATCH


@pytest.mark.parametrize("declared", m.ACCEPTED)
def test_zero_bytes(tmp_path: Path, declared: MediaType) -> None:
    with pytest.raises(PermanentError) as caught:
        sniff(documents.write(tmp_path / "file", b""), declared)
    assert caught.value.reason is FailureReason.EMPTY_FILE


@pytest.mark.parametrize("declared", [m.DOCX, m.PPTX, m.XLSX])
def test_an_office_document_behind_a_password(tmp_path: Path, declared: MediaType) -> None:
    path = documents.write(tmp_path / "file", documents.encrypted_office())
    with pytest.raises(PermanentError) as caught:
        sniff(path, declared)
    assert caught.value.reason is FailureReason.ENCRYPTED


@pytest.mark.parametrize("length", [30, 2000, len(WORD) - 10])
def test_an_office_document_that_was_cut_off(tmp_path: Path, length: int) -> None:
    path = documents.write(tmp_path / "file", WORD[:length])
    with pytest.raises(PermanentError) as caught:
        sniff(path, m.DOCX)
    assert caught.value.reason is FailureReason.CORRUPT


def test_an_archive_with_an_absurd_directory_is_not_read(tmp_path: Path) -> None:
    end = WORD.rfind(b"PK\x05\x06")
    claimed = WORD[: end + 12] + (2**31).to_bytes(4, "little") + WORD[end + 16 :]
    with pytest.raises(PermanentError) as caught:
        sniff(documents.write(tmp_path / "file", claimed), m.DOCX)
    assert caught.value.reason is FailureReason.CORRUPT


@pytest.mark.parametrize(
    ("signature", "declared"),
    [(b"\x89PNG\r\n\x1a\n", m.PNG), (b"\xff\xd8\xff\xe0", m.JPEG)],
)
def test_an_image_of_few_colours_is_not_text(
    tmp_path: Path, signature: bytes, declared: MediaType
) -> None:
    path = tmp_path / "upload"
    path.write_bytes(signature + b"A" * 10_000)
    assert sniff(path, declared) is declared
    with pytest.raises(PermanentError):
        sniff(path, m.TEXT)
