"""Office documents that are bombs: by their archive, or by what they claim of themselves."""

import bz2
import io
import lzma
import zipfile
from collections.abc import Callable

from tests import documents
from tests.hostile.raw_zip import BZIP2, LZMA, Member, deflated, pack

_WORD = "word/document.xml"
_SHEET = "xl/worksheets/sheet1.xml"
_W = b'<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>'
_W_END = b"</w:body></w:document>"
_S = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
TEXT = "The harvest was good that year."


def docx(
    build: Callable[[bytes], bytes] | None = None, **members: Callable[[bytes], bytes]
) -> bytes:
    """A Word document whose ``word/document.xml`` is rewritten, and other members too."""
    archive = documents.word(lambda document: document.add_paragraph(TEXT))
    return documents.repacked(archive, ({_WORD: build} if build else {}) | members)


def flat_bomb(kind: str) -> bytes:
    """A part that unpacks to four gigabytes, and says so."""
    part = {"docx": _WORD, "pptx": "ppt/presentation.xml", "xlsx": "xl/workbook.xml"}[kind]
    data, size = deflated(b"<a>", b" ", 4_000, b"</a>")
    return pack([*_rest(kind, part), Member(part, data, size)])


def lying_bomb(kind: str, megabytes: int = 1_500) -> bytes:
    """The same, but its headers promise a hundred bytes."""
    part = {"docx": _WORD, "pptx": "ppt/presentation.xml", "xlsx": "xl/workbook.xml"}[kind]
    data, _ = deflated(b"<a>", b" ", megabytes, b"</a>")
    return pack([*_rest(kind, part), Member(part, data, 100)])


def lying_bzip2_bomb() -> bytes:
    """bzip2 packs a gigabyte into less than a kilobyte."""
    part = bz2.compress(b" " * 8_000_000)
    return pack([*_rest("docx", _WORD), Member(_WORD, part * 150, 100, BZIP2)])


def lying_lzma_bomb() -> bytes:
    """LZMA asks for a dictionary of gigabytes before the first byte."""
    filters = [{"id": lzma.FILTER_LZMA1, "dict_size": 1024**3}]
    raw = lzma.compress(b" " * 1_000_000, lzma.FORMAT_RAW, filters=filters)
    # Version, length of the properties, then they: see APPNOTE.TXT, 5.8.8.
    properties = b"\x09\x04\x05\0\x5d" + (1536 * 1024**2 - 1).to_bytes(4, "little")
    return pack([*_rest("docx", _WORD), Member(_WORD, properties + raw, 99, LZMA)])


def overlapping_bomb() -> bytes:
    """Ten thousand members that share the same ten megabytes (Fifield's "better zip bomb")."""
    data, size = deflated(b"<a>", b" ", 10, b"</a>")
    copies = [
        Member(f"word/media/{number}.xml", data, size, same_data_as_before=number > 0)
        for number in range(10_000)
    ]
    return pack([*_rest("docx", ""), *copies])


def archives_in_archives(depth: int = 6, width: int = 10) -> bytes:
    """A document that carries an archive of archives of archives (42.zip)."""
    inner = pack([Member("0.txt", *deflated(b"", b"0", 100))])
    for _ in range(depth):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            for number in range(width):
                archive.writestr(f"{number}.zip", inner)
        inner = stream.getvalue()
    return docx(**{"word/embeddings/inner.zip": lambda _: inner})


def many_paragraphs(megabytes: int = 48) -> bytes:
    """Within the limit on size, but each eighteen bytes become an object of a parser's."""
    data, size = deflated(_W, b"<w:p><w:r/></w:p>" * 61_680, megabytes)
    return pack([*_rest("docx", _WORD), Member(_WORD, data, size)])


def climbing_names() -> bytes:
    """Members that an unpacking program would write outside its folder."""
    names = ("../../../../tmp/docmill-escaped", "/tmp/docmill-escaped", "..\\..\\docmill-escaped")
    return docx(**{name: lambda _: b"escaped" for name in names})


def encrypted() -> bytes:
    """Members encrypted by the archive's own means."""
    members = [
        Member(each.name, each.data, each.size, each.method, each.crc, encrypted=True)
        for each in _rest("docx", "")
    ]
    return pack(members)


def sheet_of_claimed_size() -> bytes:
    """A sheet that claims to be as large as Excel allows, and holds one row."""
    rows = b'<dimension ref="A1:XFD1048576"/><sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>'
    rows += TEXT.encode() + b"</t></is></c></row></sheetData></worksheet>"
    return documents.repacked(documents.excel(Data=[["x"]]), {_SHEET: lambda _: _S + rows})


def sheet_of_far_cells(rows: int) -> bytes:
    """Rows whose only cell is in the last column of all."""
    xml = b"".join(
        b'<row r="%d"><c r="XFD%d"><v>7</v></c></row>' % (n, n) for n in range(1, rows + 1)
    )
    sheet = _S + b"<sheetData>" + xml + b"</sheetData></worksheet>"
    return documents.repacked(documents.excel(Data=[["x"]]), {_SHEET: lambda _: sheet})


def sheet_with_a_gap() -> bytes:
    """A first row, and the millionth."""
    cell = b'<row r="%d"><c r="A%d" t="inlineStr"><is><t>%s</t></is></c></row>'
    rows = b"".join(cell % (n, n, TEXT.encode()) for n in (1, 1_048_576))
    sheet = _S + b"<sheetData>" + rows + b"</sheetData></worksheet>"
    return documents.repacked(documents.excel(Data=[["x"]]), {_SHEET: lambda _: sheet})


def slides_in_a_circle() -> bytes:
    """Relationships that lead from a slide to itself, to the presentation and back."""
    deck = documents.powerpoint(("Harvest", TEXT, ""))
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    more = (
        f'<Relationship Id="rId90" Type="{office}/slide" Target="slide1.xml"/>'
        f'<Relationship Id="rId91" Type="{office}/officeDocument" Target="../presentation.xml"/>'
        f'<Relationship Id="rId92" Type="{office}/slideMaster" Target="../slides/slide1.xml"/>'
    ).encode()
    return documents.repacked(
        deck,
        {
            "ppt/slides/_rels/slide1.xml.rels": lambda old: old.replace(
                b"</Relationships>", more + b"</Relationships>"
            )
        },
    )


def repeated_slide(times: int) -> bytes:
    """One slide that the presentation shows again and again."""
    deck = documents.powerpoint(("Harvest", TEXT, ""))

    def repeat(xml: bytes) -> bytes:
        start = xml.index(b"<p:sldId ")
        end = xml.index(b"/>", start) + 2
        return xml[:end] + xml[start:end] * times + xml[end:]

    return documents.repacked(deck, {"ppt/presentation.xml": repeat})


def nested_tables(depth: int) -> bytes:
    """A table in a cell of a table in a cell, and so on."""
    opened = b"<w:tbl><w:tr><w:tc>" * depth
    closed = b"<w:p/></w:tc></w:tr></w:tbl>" * depth
    return docx(lambda _: _W + opened + b"<w:p/>" + closed + _W_END)


def _rest(kind: str, without: str) -> list[Member]:
    """The members of an honest document, except the one that a bomb replaces."""
    match kind:
        case "docx":
            archive = docx()
        case "pptx":
            archive = documents.powerpoint(("Harvest", TEXT, ""))
        case _:
            archive = documents.excel(Data=[["Harvest", TEXT]])
    members = []
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        for info in opened.infolist():
            if info.filename != without:
                content = opened.read(info)
                data, size = deflated(content, b" ", 0)
                members.append(Member(info.filename, data, size, crc=info.CRC))
    return members
