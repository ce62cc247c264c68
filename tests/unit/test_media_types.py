"""The first bytes of a file, against the type that it is said to have."""

import pytest

from docmill_shared import media_types as m
from docmill_shared.media_types import MediaType

BEGINNINGS = {
    m.PDF: b"%PDF-1.7",
    m.JPEG: b"\xff\xd8\xff\xe0",
    m.PNG: b"\x89PNG\r\n\x1a\n",
    m.GIF: b"GIF89a",
    m.WEBP: b"RIFF\x10\x00\x00\x00WEBPVP8 ",
    m.DOCX: b"PK\x03\x04",
}
OFFICE = {m.DOCX, m.PPTX, m.XLSX}


@pytest.mark.parametrize("declared", m.ACCEPTED, ids=lambda each: each.label)
def test_each_type_begins_like_itself_and_not_like_another(declared: MediaType) -> None:
    if declared not in {*BEGINNINGS, *OFFICE}:
        assert all(m.may_begin_with(declared, each) for each in (*BEGINNINGS.values(), b"words"))
        return
    for found, beginning in BEGINNINGS.items():
        same = found is declared or {found, declared} <= OFFICE
        assert m.may_begin_with(declared, beginning) is same, found.label
    assert not m.may_begin_with(declared, b"words")
    assert not m.may_begin_with(declared, b"")


def test_a_pdf_may_begin_with_something_else() -> None:
    assert m.may_begin_with(m.PDF, b"\n" * (m.SIGNATURE_BYTES - 5) + b"%PDF-")
    assert not m.may_begin_with(m.PDF, b"\n" * m.SIGNATURE_BYTES + b"%PDF-")


def test_an_encrypted_document_is_left_to_the_worker() -> None:
    assert m.may_begin_with(m.DOCX, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")


def test_beginnings_have_names() -> None:
    named = [m.describe_beginning(each) for each in (*BEGINNINGS.values(), b"words")]
    assert named == [
        "a PDF", "a JPEG image", "a PNG image", "a GIF image", "a WEBP image", "a zip archive",
        "something else",
    ]  # fmt: skip
