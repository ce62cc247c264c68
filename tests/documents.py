"""Small documents of every kind, built on the spot; what they say is up to the test."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from email.message import EmailMessage
from pathlib import Path

import docx
import openpyxl
import pptx
import pypdfium2
import pypdfium2.raw as pdfium
from PIL import Image, ImageDraw, ImageFont


def write(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def pdf(*pages: str, outline: Sequence[tuple[str, int]] = ()) -> bytes:
    """A PDF with one page per text; lines of a text become lines. ``outline``: (title, page)."""
    objects: list[bytes] = [b"", b""]
    font = _add(objects, b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>")
    numbers = []
    for text in pages:
        lines = b" T* ".join(b"(%s) Tj" % _escaped(line) for line in text.splitlines())
        content = _add(objects, _stream(b"BT /F1 12 Tf 14 TL 50 700 Td %s ET" % lines))
        numbers.append(
            _add(
                objects,
                b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents %d 0 R"
                b"/Resources<</Font<</F1 %d 0 R>>>>>>" % (content, font),
            )
        )
    root = b"<</Type/Catalog/Pages 2 0 R"
    if outline:
        root += b"/Outlines %d 0 R" % _outline(objects, outline, numbers)
    objects[0] = root + b">>"
    kids = b" ".join(b"%d 0 R" % number for number in numbers)
    objects[1] = b"<</Type/Pages/Kids[%s]/Count %d>>" % (kids, len(numbers))
    return pdf_of_objects(objects)


def pdf_of_objects(objects: Sequence[bytes]) -> bytes:
    """A PDF made of raw objects, the first being the catalog."""
    body = b"%PDF-1.7\n"
    offsets = []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return body + (
        b"xref\n0 %d\n0000000000 65535 f \n%strailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF"
        % (len(objects) + 1, table, len(objects) + 1, len(body))
    )


def encrypted_pdf() -> bytes:
    """A PDF whose encryption (RC4, 40 bits) needs a password that nobody has."""
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]>>",
        b"<</Filter/Standard/V 1/R 2/O(%s)/U(%s)/P -4>>" % (b"o" * 32, b"u" * 32),
    ]
    return pdf_of_objects(objects).replace(
        b"/Root 1 0 R", b"/Root 1 0 R/Encrypt 4 0 R/ID[(0123456789abcdef)(0123456789abcdef)]"
    )


def scanned_pdf(*pages: Image.Image) -> bytes:
    """A PDF whose pages are pictures, as a scanner makes them."""
    stream = io.BytesIO()
    pages[0].save(stream, "PDF", save_all=True, append_images=pages[1:], resolution=150)
    return stream.getvalue()


def form_pdf(value: str) -> bytes:
    """A PDF with one text field, filled in."""
    appearance = b"BT /F1 12 Tf 2 4 Td (%s) Tj ET" % _escaped(value)
    return pdf_of_objects(
        [
            b"<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[4 0 R]/DR<</Font<</F1 6 0 R>>>>>>>>",
            b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Annots[4 0 R]>>",
            b"<</Type/Annot/Subtype/Widget/FT/Tx/T(name)/V(%s)/Rect[50 700 350 720]/F 4"
            b"/AP<</N 5 0 R>>>>" % _escaped(value),
            _stream(
                appearance,
                b"/Type/XObject/Subtype/Form/BBox[0 0 300 20]/Resources<</Font<</F1 6 0 R>>>>",
            ),
            b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
        ]
    )


def picture(*lines: str, size: tuple[int, int] = (900, 300), font_size: int = 40) -> Image.Image:
    """Black text on white, as a camera or a scanner would deliver it."""
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(font_size)
    for number, line in enumerate(lines):
        draw.text((40, 40 + number * font_size * 1.4), line, "black", font)
    return image


def image_bytes(image: Image.Image, format: str = "PNG", **options: object) -> bytes:  # noqa: A002
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def png_of_claimed_size(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header claims any size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _png_chunk(b"IHDR", header)
        + _png_chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + _png_chunk(b"IEND", b"")
    )


def word(build: Callable[["docx.document.Document"], object]) -> bytes:
    document = docx.Document()
    build(document)
    stream = io.BytesIO()
    document.save(stream)
    return stream.getvalue()


def powerpoint(*slides: tuple[str, str, str]) -> bytes:
    """Slides of (title, text, notes)."""
    presentation = pptx.Presentation()
    for title, text, notes in slides:
        slide = presentation.slides.add_slide(presentation.slide_layouts[1])
        slide.shapes.title.text = title
        slide.placeholders[1].text = text
        if notes:
            slide.notes_slide.notes_text_frame.text = notes
    stream = io.BytesIO()
    presentation.save(stream)
    return stream.getvalue()


def excel(**sheets: Sequence[Sequence[object]]) -> bytes:
    workbook = openpyxl.Workbook(write_only=True)
    for title, rows in sheets.items():
        sheet = workbook.create_sheet(title)
        for row in rows:
            sheet.append(row)
    stream = io.BytesIO()
    workbook.save(stream)
    return stream.getvalue()


def repacked(archive: bytes, changes: dict[str, Callable[[bytes], bytes]]) -> bytes:
    """The same zip archive with some members changed, or added (their old content is empty)."""
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(archive)) as old,
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, changes.get(name, bytes)(old.read(name)))
        for name in changes.keys() - set(old.namelist()):
            new.writestr(name, changes[name](b""))
    return stream.getvalue()


def encrypted_office() -> bytes:
    """The beginning of what Office writes for a password: an OLE file with the telling stream."""
    directory = b"".join(
        name.encode("utf-16-le").ljust(128, b"\0")
        for name in ("Root Entry", "EncryptionInfo", "EncryptedPackage")
    )
    return b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".ljust(512, b"\0") + directory


def email(
    subject: str,
    text: str,
    html: str | None = None,
    attachments: Sequence[tuple[str, str, bytes]] = (),
    messages: Sequence[EmailMessage] = (),
) -> EmailMessage:
    """``attachments``: (file name, media type, content)."""
    message = EmailMessage()
    message["From"] = "Ada <ada@example.org>"
    message["To"] = "grace@example.org"
    message["Subject"] = subject
    message.set_content(text)
    if html is not None:
        message.add_alternative(html, subtype="html")
    for name, media_type, content in attachments:
        maintype, _, subtype = media_type.partition("/")
        message.add_attachment(content, maintype=maintype, subtype=subtype, filename=name)
    for inner in messages:
        message.add_attachment(inner)
    return message


def page_count(content: bytes) -> int:
    """How many pages pdfium finds; to check the builders above."""
    with pypdfium2.PdfDocument(content) as document:
        return int(pdfium.FPDF_GetPageCount(document))


def _add(objects: list[bytes], content: bytes) -> int:
    objects.append(content)
    return len(objects)


def _outline(
    objects: list[bytes], outline: Sequence[tuple[str, int]], page_objects: Sequence[int]
) -> int:
    root = _add(objects, b"")
    first = len(objects) + 1
    for index, (title, page) in enumerate(outline):
        following = b"/Next %d 0 R" % (first + index + 1) if index + 1 < len(outline) else b""
        _add(
            objects,
            b"<</Title(%s)/Parent %d 0 R/Dest[%d 0 R/Fit]%s>>"
            % (_escaped(title), root, page_objects[page - 1], following),
        )
    objects[root - 1] = b"<</Type/Outlines/First %d 0 R/Last %d 0 R/Count %d>>" % (
        first,
        len(objects),
        len(outline),
    )
    return root


def _stream(content: bytes, entries: bytes = b"") -> bytes:
    return b"<<%s/Length %d>>stream\n%s\nendstream" % (entries, len(content), content)


def _escaped(text: str) -> bytes:
    return (
        text.encode("latin-1").replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)")
    )


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + checksum
