"""What goes wrong is told in a sentence, with a reason, whichever part of the system finds it."""

import io
import os
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pypdfium2
import pytest

from docmill_dev.development import Development
from tests.conftest import without_docmill
from tests.documents import encrypted_office, encrypted_pdf

Wait = Callable[..., None]
#: One test waits until it is over; all others upload in less, also where everything is slow.
URL_SECONDS = 10


@dataclass(frozen=True)
class Caller:
    """A client program with an account, over HTTP only."""

    http: httpx.Client

    def reserve(self, name: str, size: int, **fields: object) -> httpx.Response:
        return self.http.post("/v1/files", json={"name": name, "size_bytes": size, **fields})

    def put(self, reserved: dict[str, Any], content: bytes) -> httpx.Response:
        upload = reserved["upload"]
        headers = upload["headers"]
        return httpx.put(upload["url"], content=content, headers=headers, timeout=30)

    def ingest(self, name: str, content: bytes, media_type: str | None = None) -> str:
        """Reserve, put, confirm; return the file's id."""
        fields = {"media_type": media_type} if media_type else {}
        reserved = self.reserve(name, len(content), **fields).raise_for_status().json()
        self.put(reserved, content).raise_for_status()
        file_id: str = reserved["file"]["id"]
        self.http.post(f"/v1/files/{file_id}/confirm").raise_for_status()
        return file_id

    def file(self, file_id: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.http.get(f"/v1/files/{file_id}").raise_for_status().json()
        return answer


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    settings = {"MAX_FILE_BYTES": "1000000", "UPLOAD_URL_SECONDS": str(URL_SECONDS)}
    environ = {**without_docmill(os.environ), **settings}
    with Development(tmp_path_factory.mktemp("docmill"), environ=environ) as running:
        yield running.url


@pytest.fixture
def caller(url: str) -> Iterator[Caller]:
    account = {"email": f"{uuid4()}@example.org", "password": "correct horse battery"}
    with httpx.Client(base_url=url, timeout=30) as http:
        http.post("/v1/auth/register", json=account).raise_for_status()
        token = http.post("/v1/auth/login", json=account).raise_for_status().json()
        http.headers["Authorization"] = f"Bearer {token['access_token']}"
        yield Caller(http)


def pdf(pages: int = 1) -> bytes:
    """A small PDF with nothing on it."""
    document = pypdfium2.PdfDocument.new()
    for _ in range(pages):
        document.new_page(200, 200)
    buffer = io.BytesIO()
    document.save(buffer)
    return buffer.getvalue()


def archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("hello.txt", "hello")
    return buffer.getvalue()


def is_a_sentence(text: str) -> bool:
    told = "Traceback" not in text and "\n" not in text
    return told and not text[0].islower() and text[-1] in ".)"


@pytest.mark.parametrize(
    ("name", "size", "media_type", "code"),
    [
        ("movie.mp4", 10, "video/mp4", "unsupported_type"),
        ("picture.bmp", 10, None, "unsupported_type"),
        ("large.pdf", 1_000_001, None, "too_large"),
        ("empty.txt", 0, None, "empty_file"),
        ("..\x00/evil.txt", 10, None, "validation_failed"),
    ],
)
def test_refused_at_reservation(
    caller: Caller, name: str, size: int, media_type: str | None, code: str
) -> None:
    fields = {"media_type": media_type} if media_type else {}
    answer = caller.reserve(name, size, **fields)
    assert answer.status_code in (413, 422)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == code
    assert is_a_sentence(answer.json()["detail"])
    assert caller.http.get("/v1/files").json()["items"] == []


@pytest.mark.parametrize(
    ("name", "content", "media_type", "reason"),
    [
        ("truncated.pdf", pdf(3)[:200], None, "corrupt"),
        ("truncated.docx", archive()[:60], None, "corrupt"),
        ("locked.pdf", encrypted_pdf(), None, "encrypted"),
        ("locked.xlsx", encrypted_office(), None, "encrypted"),
        ("blank.txt", b" \n\t ", None, "no_text"),
        ("binary.txt", bytes(range(256)) * 10, "text/plain", "type_mismatch"),
    ],
)
def test_failed_with_a_reason(
    caller: Caller,
    name: str,
    content: bytes,
    media_type: str | None,
    reason: str,
    eventually: Wait,
) -> None:
    file_id = caller.ingest(name, content, media_type)
    eventually(lambda: caller.file(file_id)["status"] in ("FAILED", "COMPLETED"), timeout=60)
    file = caller.file(file_id)
    assert (file["status"], file["failure"]["reason"]) == ("FAILED", reason)
    assert is_a_sentence(file["failure"]["detail"])
    assert caller.http.get(f"/v1/files/{file_id}/chunks").json()["items"] == []


def test_nul_bytes_are_dropped_and_the_rest_is_found(caller: Caller, eventually: Wait) -> None:
    file_id = caller.ingest("nul.txt", b"The hygrometer\x00 drifts in fog.")
    eventually(lambda: caller.file(file_id)["status"] == "COMPLETED", timeout=60)
    [result] = caller.http.post("/v1/search", json={"query": "hygrometer fog"}).json()["results"]
    assert result["text"] == "The hygrometer drifts in fog."


def test_a_presigned_url_is_for_one_key_and_a_short_time(caller: Caller, eventually: Wait) -> None:
    mine = caller.reserve("a.txt", 5).json()
    other = caller.reserve("b.txt", 5).json()
    stolen = {**mine, "upload": {**mine["upload"]}}
    stolen["upload"]["url"] = mine["upload"]["url"].replace(mine["file"]["id"], other["file"]["id"])
    assert caller.put(stolen, b"12345").status_code == 403

    caller.put(mine, b"12345").raise_for_status()
    eventually(lambda: caller.put(mine, b"12345").status_code == 403, timeout=60, what="expiry")
    answer = caller.http.post(f"/v1/files/{other['file']['id']}/confirm")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_uploaded")
    assert is_a_sentence(answer.json()["detail"])


def test_an_upload_of_another_size_is_refused_by_the_store(caller: Caller) -> None:
    reserved = caller.reserve("a.txt", 5).json()
    assert caller.put(reserved, b"1234567").status_code == 403
    answer = caller.http.post(f"/v1/files/{reserved['file']['id']}/confirm")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_uploaded")
    assert is_a_sentence(answer.json()["detail"])


@pytest.mark.parametrize(("name", "content"), [("really.pdf", archive()), ("picture.png", pdf())])
def test_an_upload_of_another_type_is_refused_at_confirmation(
    caller: Caller, name: str, content: bytes
) -> None:
    reserved = caller.reserve(name, len(content)).json()
    caller.put(reserved, content).raise_for_status()
    answer = caller.http.post(f"/v1/files/{reserved['file']['id']}/confirm")
    assert (answer.status_code, answer.json()["code"]) == (409, "type_mismatch")
    assert is_a_sentence(answer.json()["detail"])
