"""XML that grows when it is read, and XML that asks its reader to fetch things."""

from tests import documents
from tests.hostile.archives import TEXT, docx

_W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
_BILLION_LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
BILLION_LAUGHS = f'<!ENTITY l0 "lol">{_BILLION_LAUGHS}', "&l9;"
QUADRATIC = f'<!ENTITY a "{"a" * 200_000}">', "&a;" * 20_000
LOOP = '<!ENTITY a "&b;"><!ENTITY b "&a;">', "&a;"


def external(address: str) -> tuple[str, str]:
    """An entity that stands for what is at ``address``."""
    return f'<!ENTITY x SYSTEM "{address}">', "&x;"


def external_dtd(address: str) -> tuple[str, str]:
    """A parameter entity, which is fetched while the declarations are read."""
    return f'<!ENTITY % remote SYSTEM "{address}"> %remote;', "nothing"


def word(entities: tuple[str, str]) -> bytes:
    """A Word document that uses the entities in a paragraph, after honest text."""
    declarations, use = entities
    xml = (
        f"<!DOCTYPE d [{declarations}]><w:document {_W}><w:body>"
        f"<w:p><w:r><w:t>{TEXT}</w:t></w:r></w:p><w:p><w:r><w:t>{use}</w:t></w:r></w:p>"
        "</w:body></w:document>"
    ).encode()
    return docx(lambda _: xml)


def sheet(entities: tuple[str, str], part: str = "xl/worksheets/sheet1.xml") -> bytes:
    """The same in a sheet, or another part of a workbook."""
    declarations, use = entities
    main = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    xml = (
        f"<!DOCTYPE d [{declarations}]><worksheet {main}><sheetData><row r='1'>"
        f"<c r='A1' t='inlineStr'><is><t>{TEXT}</t></is></c>"
        f"<c r='B1' t='inlineStr'><is><t>{use}</t></is></c></row></sheetData></worksheet>"
    )
    if part == "xl/sharedStrings.xml":
        xml = f"<!DOCTYPE d [{declarations}]><sst {main}><si><t>{use}</t></si></sst>"
    return documents.repacked(documents.excel(Data=[["x"]]), {part: lambda _: xml.encode()})


def slide(entities: tuple[str, str]) -> bytes:
    """The same on a slide."""
    declarations, use = entities

    def rewrite(xml: bytes) -> bytes:
        start = xml.index(b"<p:sld")
        body = xml[start:].replace(b"Harvest", b"Harvest " + use.encode(), 1)
        return f"<!DOCTYPE d [{declarations}]>".encode() + body

    deck = documents.powerpoint(("Harvest", TEXT, ""))
    return documents.repacked(deck, {"ppt/slides/slide1.xml": rewrite})


def page(entities: tuple[str, str]) -> bytes:
    """The same in XHTML."""
    declarations, use = entities
    return (
        f'<?xml version="1.0"?><!DOCTYPE html [{declarations}]>'
        f"<html><body><h1>{TEXT}</h1><p>{use}</p></body></html>"
    ).encode()
