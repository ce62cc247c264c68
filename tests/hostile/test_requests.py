"""Files that ask their reader to fetch something: nothing is fetched, nothing of it is stored.

The extraction child has no network where the platform allows that; so the parsers are also run
here, in a process that has one.
"""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from docmill_ingest import extractors
from docmill_ingest.extractors import Context
from docmill_ingest.limits import ExtractionLimits
from docmill_ingest.pipeline import ingest
from docmill_ingest.resources import Resources
from docmill_shared import media_types as m
from docmill_shared.errors import PermanentError
from docmill_shared.media_types import MediaType
from docmill_shared.states import FailureReason
from tests import documents
from tests.hostile import archives, entities, mails, pdfs
from tests.owners import Owner

#: Stands in a file beside the upload; no passage may ever hold it.
LOOT = "a sentence that nobody uploaded"


class Listener:
    """A server on loopback that counts who calls, and answers with nothing."""

    def __init__(self) -> None:
        self.calls = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                caller, _ = self._socket.accept()
                self.calls += 1
                caller.close()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    running = Listener()
    yield running
    running.close()


def word_template(address: str) -> bytes:
    """A Word document with a remote template and a linked picture, loaded by Word when opened."""
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    links = "".join(
        f'<Relationship Id="rId{90 + number}" Type="{office}/{kind}" Target="{address}/{kind}"'
        ' TargetMode="External"/>'
        for number, kind in enumerate(("attachedTemplate", "image", "oleObject", "frame"))
    ).encode()
    end = b"</Relationships>"
    rels = "word/_rels/document.xml.rels"
    return archives.docx(**{rels: lambda old: old.replace(end, links + end)})


def page(address: str) -> bytes:
    """A page full of things that a browser loads."""
    tags = (
        '<link rel="stylesheet" href="{0}/a">',
        '<script src="{0}/b"></script>',
        '<img src="{0}/c">',
        '<iframe src="{0}/d"></iframe>',
        '<object data="{0}/e"></object>',
        '<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="{0}/f" parse="text"/>',
        '<meta http-equiv="refresh" content="0; url={0}/g">',
        '<base href="{0}/h">',
    )
    body = "".join(tags).format(address)
    return f"<html><body>{body}<p>{archives.TEXT}</p></body></html>".encode()


def workbook(address: str) -> bytes:
    """A sheet whose formulas ask for data."""
    return documents.excel(Data=[[archives.TEXT, f'=WEBSERVICE("{address}")', f"='{address}'!A1"]])


def _external(build: Callable[..., bytes], *more: str) -> Callable[[str], bytes]:
    return lambda address: build(entities.external(address), *more)


def _dtd(build: Callable[..., bytes]) -> Callable[[str], bytes]:
    return lambda address: build(entities.external_dtd(address))


_STRINGS = "xl/sharedStrings.xml"
REQUESTS = {
    "docx-entity": (m.DOCX, _external(entities.word)),
    "docx-dtd": (m.DOCX, _dtd(entities.word)),
    "docx-template": (m.DOCX, word_template),
    "xlsx-entity": (m.XLSX, _external(entities.sheet)),
    "xlsx-dtd": (m.XLSX, _dtd(entities.sheet)),
    "xlsx-strings": (m.XLSX, _external(entities.sheet, _STRINGS)),
    "xlsx-formulas": (m.XLSX, workbook),
    "pptx-entity": (m.PPTX, _external(entities.slide)),
    "pptx-dtd": (m.PPTX, _dtd(entities.slide)),
    "html-entity": (m.HTML, _external(entities.page)),
    "html-dtd": (m.HTML, _dtd(entities.page)),
    "html-links": (m.HTML, page),
    "pdf-actions": (m.PDF, pdfs.leads_outside),
}
KINDS = pytest.mark.parametrize("kind", REQUESTS)


@KINDS
def test_nothing_is_fetched_and_nothing_of_it_stored(
    kind: str, resources: Resources, owner: Owner, listener: Listener, tmp_path: Path
) -> None:
    loot = documents.write(tmp_path / "loot", LOOT)
    media_type, build = REQUESTS[kind]
    for address in (listener.address, loot.as_uri(), "file:///etc/passwd"):
        file_id = owner.upload(build(address), name=kind, media_type=media_type.name)
        ingest(file_id, resources)
        file = owner.file(file_id)
        assert file is not None
        assert file.status == "COMPLETED" or file.failure_reason in _REFUSALS, file.failure_detail
        _holds_no_loot(" ".join(chunk["text"] for chunk in owner.chunks(file_id)))
    assert listener.calls == 0


@KINDS
def test_the_parsers_themselves_fetch_nothing(
    kind: str, listener: Listener, tmp_path: Path
) -> None:
    loot = documents.write(tmp_path / "loot", LOOT)
    media_type, build = REQUESTS[kind]
    for address in (listener.address, loot.as_uri(), "file:///etc/passwd"):
        path = documents.write(tmp_path / "file", build(address))
        _holds_no_loot(_text(path, media_type, tmp_path))
    assert listener.calls == 0


def test_a_mail_by_reference_brings_no_file_along(resources: Resources, owner: Owner) -> None:
    file_id = owner.upload(mails.names_a_file(), name="mail", media_type=m.EML.name)
    ingest(file_id, resources)
    chunks = owner.chunks(file_id)
    assert archives.TEXT in chunks[0]["text"]
    _holds_no_loot(" ".join(chunk["text"] for chunk in chunks))


def test_nothing_climbs_out_of_an_archive(
    resources: Resources, owner: Owner, work_directory: Path
) -> None:
    before = {path for path in Path("/tmp").iterdir() if "escaped" in path.name}
    for content, media_type in (
        (archives.climbing_names(), m.DOCX),
        (mails.carries_a_bomb(), m.EML),
    ):
        file_id = owner.upload(content, name="climbs", media_type=media_type.name)
        ingest(file_id, resources)
        file = owner.file(file_id)
        assert file is not None
        assert file.status == "COMPLETED", file.failure_detail
    assert {path for path in Path("/tmp").iterdir() if "escaped" in path.name} == before
    assert not list(work_directory.parent.rglob("*escaped*"))
    assert list(work_directory.iterdir()) == [resources.work_folder.path]
    assert all(path.name.startswith("child-") for path in resources.work_folder.path.iterdir())


_REFUSALS = {str(FailureReason.CORRUPT)}


def _text(path: Path, media_type: MediaType, folder: Path) -> str:
    context = Context(ExtractionLimits(), folder)
    try:
        pieces = list(extractors.extract(path, media_type, context))
    except (PermanentError, ValueError, SyntaxError):  # the child says CORRUPT to all of them
        return ""
    return " ".join(getattr(piece, "text", "") for piece in pieces)


def _holds_no_loot(text: str) -> None:
    assert LOOT not in text
    assert "root:" not in text
