"""An api in this process on real servers, and the accounts that call it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import urllib3
from sqlalchemy import Engine, insert, select, update
from werkzeug.test import TestResponse

from docmill_api.app import create_app
from docmill_api.resources import Resources
from docmill_api.settings import ApiSettings
from docmill_shared import accounts
from docmill_shared.messages import INGEST_QUEUE
from docmill_shared.schema import DIMENSIONS, Chunk, File
from docmill_shared.states import FileStatus

PASSWORD = "correct horse battery"

#: Not redirected, not retried: an upload is one request.
_http = urllib3.PoolManager(retries=False)


def request(
    method: str, url: str, *, headers: Mapping[str, str] | None = None, **options: Any
) -> urllib3.BaseHTTPResponse:
    """One request on a connection of its own: a server may close one that was kept in the very
    moment in which it is used again."""
    return _http.request(
        method, url, headers={**(headers or {}), "Connection": "close"}, timeout=60, **options
    )


def settings_from(environment: dict[str, str], **changes: object) -> ApiSettings:
    """Settings from a service's environment, with changes by field name."""
    found = {
        name: environment[name.upper()]
        for name in ApiSettings.model_fields
        if name.upper() in environment
    }
    return ApiSettings(**{"embedding_provider": "local", **found, **changes})  # type: ignore[arg-type]


@dataclass
class Account:
    """A registered account and its tokens."""

    api: "Api"
    id: UUID
    email: str
    access: str
    refresh: str

    def call(self, method: str, path: str, body: object = None, **options: Any) -> TestResponse:
        headers = {"Authorization": f"Bearer {self.access}", **options.pop("headers", {})}
        return self.api.call(method, path, body, headers=headers, **options)

    def get(self, path: str, **options: Any) -> TestResponse:
        return self.call("GET", path, **options)

    def post(self, path: str, body: object = None, **options: Any) -> TestResponse:
        return self.call("POST", path, body, **options)

    def delete(self, path: str) -> TestResponse:
        return self.call("DELETE", path)

    def reserve(self, content: bytes = b"hello", name: str = "a.txt", **fields: Any) -> Any:
        answer = self.post("/v1/files", {"name": name, "size_bytes": len(content), **fields})
        assert answer.status_code == 201, answer.text
        return answer.json

    def upload(self, content: bytes = b"hello", **fields: Any) -> str:
        """Reserve and PUT; the file's id."""
        reserved = self.reserve(content, **fields)
        assert put(reserved["upload"], content) == 200
        return str(reserved["file"]["id"])

    def confirmed(self, content: bytes = b"hello", **fields: Any) -> str:
        """Reserve, PUT and confirm; the file's id."""
        file_id = self.upload(content, **fields)
        assert self.post(f"/v1/files/{file_id}/confirm").status_code == 202
        return file_id


@dataclass
class Api:
    """The app, its resources, and what tests ask of both."""

    resources: Resources
    #: The database as the tables' owner, whom row-level security does not bind.
    owner: Engine
    _numbers: Any = field(default_factory=count)

    def __post_init__(self) -> None:
        self.app = create_app(self.resources)

    def call(self, method: str, path: str, body: object = None, **options: Any) -> TestResponse:
        if body is not None:
            options["json"] = body
        return self.app.test_client().open(path, method=method, **options)

    def account(self, role: str = "user") -> Account:
        email = f"{role}-{next(self._numbers)}-{uuid4().hex[:8]}@example.org"
        credentials = {"email": email, "password": PASSWORD}
        registered = self.call("POST", "/v1/auth/register", credentials)
        assert registered.status_code == 201, registered.text
        if role != "user":
            with self.owner.begin() as connection:
                assert accounts.set_role(connection, email, role)
        tokens = self.call("POST", "/v1/auth/login", credentials).json
        assert tokens is not None
        assert registered.json is not None
        return Account(
            self,
            UUID(registered.json["id"]),
            email,
            tokens["access_token"],
            tokens["refresh_token"],
        )

    def messages(self, file_id: str) -> int:
        """How many messages for this file are in the queue."""
        broker = self.resources.broker
        envelopes = broker.client.hvals(f"{broker.namespace}:{INGEST_QUEUE}.msgs")
        return sum(json.loads(each)["kwargs"] == {"file_id": file_id} for each in envelopes)

    def row(self, file_id: str) -> Any:
        with self.owner.connect() as connection:
            return connection.execute(
                select(*File.__table__.columns).where(File.id == UUID(file_id))
            ).one_or_none()

    def set_file(self, file_id: str, **values: object) -> None:
        with self.owner.begin() as connection:
            connection.execute(update(File).where(File.id == UUID(file_id)).values(**values))

    def file_with_chunks(
        self,
        owner: Account,
        texts: list[str],
        *,
        name: str = "a.txt",
        visibility: str = "private",
        vectors: list[list[float]] | None = None,
    ) -> str:
        """A COMPLETED file with these passages, embedded as the worker would."""
        file_id = uuid4()
        if vectors is None:
            vectors = self.resources.embedder.embed_documents(texts).tolist()
        with self.owner.begin() as connection:
            connection.execute(
                insert(File).values(
                    id=file_id,
                    owner_id=owner.id,
                    name=name,
                    media_type="text/plain",
                    size_bytes=5,
                    visibility=visibility,
                    object_key=f"uploads/{owner.id}/{file_id}",
                    status=FileStatus.COMPLETED,
                    sha256=uuid4().bytes * 2,
                    chunk_count=len(texts),
                )
            )
            if texts:
                connection.execute(
                    insert(Chunk),
                    [
                        {
                            "id": uuid4(),
                            "file_id": file_id,
                            "owner_id": owner.id,
                            "visibility": visibility,
                            "ordinal": ordinal,
                            "text": text,
                            "token_count": len(text.split()),
                            "page_start": ordinal + 1,
                            "page_end": ordinal + 1,
                            "heading_path": ["Part"],
                            "char_start": 0,
                            "char_end": len(text),
                            "embedding": vector,
                        }
                        for ordinal, (text, vector) in enumerate(zip(texts, vectors, strict=True))
                    ],
                )
        return str(file_id)


def axis(number: int, weight: float = 1.0) -> list[float]:
    """A unit vector in the plane of axis 0 and axis ``number``: its cosine to axis 0 is known."""
    vector = [0.0] * DIMENSIONS
    vector[0] = weight
    vector[number] += (1 - weight**2) ** 0.5
    return vector


def put(upload: Any, content: bytes, url: str | None = None) -> int:
    """Upload as a client would; the store's status."""
    answer = request(
        upload["method"], url or upload["url"], body=content, headers=upload["headers"]
    )
    return answer.status


def problem(answer: TestResponse, status: int, code: str) -> Any:
    """Assert that this is a problem of the documented form; return it."""
    assert answer.status_code == status, answer.text
    assert answer.mimetype == "application/problem+json"
    body = json.loads(answer.text)
    assert body["code"] == code, body
    assert body["status"] == status
    assert body["type"] == "about:blank"
    assert body["title"]
    assert body["detail"]
    assert body["request_id"] == answer.headers["X-Request-ID"]
    return body
