"""Clients that upload and search all the time, behind a balancer of several apis."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import Engine, text

from tests.owners import prose

_ACCOUNT = {"email": "rollout@example.org", "password": "a long passphrase of nobody"}
_PATIENCE_SECONDS = 20.0
_PARAGRAPHS = 4


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A file that the api has confirmed."""

    id: UUID
    content: bytes


class Balancer:
    """Sends each request to the next api. It tries another one only if the first refuses."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._urls: list[str] = []
        self._open: Counter[str] = Counter()

    def add(self, url: str) -> None:
        """From now on it gets requests."""
        with self._lock:
            self._urls.append(url)

    def remove(self, url: str) -> None:
        """It gets no more, and has answered what it got: an endpoint is taken away before its
        pod is ended."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        with self._lock:
            self._urls.remove(url)
        while self._open[url]:
            assert time.monotonic() < deadline, f"{url} does not answer"
            time.sleep(0.01)

    def request(self, method: str, path: str, token: str | None = None, body: object = None) -> Any:
        """The answer; an AssertionError unless it is a success."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            with self._lock:
                url = self._urls.pop(0)
                self._urls.append(url)
                self._open[url] += 1
            try:
                with httpx.Client(timeout=_PATIENCE_SECONDS, trust_env=False) as client:
                    answer = client.request(method, url + path, json=body, headers=headers)
                break
            except httpx.ConnectError:
                if time.monotonic() > deadline:
                    raise
            finally:
                with self._lock:
                    self._open[url] -= 1
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None


class Traffic:
    """Two threads that upload and one that searches, as a context manager."""

    def __init__(self, balancer: Balancer) -> None:
        self._balancer = balancer
        self._numbers = count(1)
        self._stop = threading.Event()
        self._token = ""
        self.uploaded: list[Uploaded] = []
        self.searches = 0
        #: What went wrong; the thread to which it happened has ended.
        self.errors: list[str] = []

    def __enter__(self) -> "Traffic":
        self._balancer.request("POST", "/v1/auth/register", body=_ACCOUNT)
        login = self._balancer.request("POST", "/v1/auth/login", body=_ACCOUNT)
        self._token = login["access_token"]
        actions = (self._upload, self._upload, self._search)
        self._threads = [threading.Thread(target=self._repeat, args=(each,)) for each in actions]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Finish what is under way. May be called twice."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _repeat(self, action: Callable[[], None]) -> None:
        while not self._stop.is_set():
            try:
                action()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is what is looked for
                self.errors.append(repr(error))
                return
            self._stop.wait(0.2)  # a pace, so that the machine is not all that is measured

    def _upload(self) -> None:
        content = prose(_PARAGRAPHS, seed=next(self._numbers))
        wish = {"name": "notes.txt", "media_type": "text/plain", "size_bytes": len(content)}
        reserved = self._balancer.request("POST", "/v1/files", self._token, wish)
        target, file_id = reserved["upload"], reserved["file"]["id"]
        with httpx.Client(timeout=_PATIENCE_SECONDS, trust_env=False) as client:
            answer = client.put(target["url"], content=content, headers=target["headers"])
        assert answer.is_success, answer.text
        self._balancer.request("POST", f"/v1/files/{file_id}/confirm", self._token)
        self.uploaded.append(Uploaded(UUID(file_id), content))

    def _search(self) -> None:
        wish = {"query": "reading101 reading202", "mode": "hybrid"}
        self._balancer.request("POST", "/v1/search", self._token, wish)
        self._balancer.request("GET", "/v1/files", self._token)
        self.searches += 1


def unfinished(engine: Engine) -> int:
    """Files that are neither COMPLETED nor anything else that would be an end."""
    with engine.connect() as connection:
        query = "select count(*) from files where status in ('PENDING', 'QUEUED', 'PROCESSING')"
        return int(connection.execute(text(query)).scalar_one())


def wrong(engine: Engine, uploaded: list[Uploaded]) -> list[str]:
    """A sentence for every file that is not COMPLETED with exactly its own passages."""
    found = []
    with engine.connect() as connection:
        files = {row.id: row for row in connection.execute(text("select * from files")).mappings()}
        chunks: dict[UUID, list[Any]] = {}
        for row in connection.execute(text("select * from chunks order by file_id, ordinal")):
            chunks.setdefault(row.file_id, []).append(row)
    for upload in uploaded:
        file, passages = files.pop(upload.id, None), chunks.pop(upload.id, [])
        if file is None or file["status"] != "COMPLETED":
            found.append(f"{upload.id} is {file and (file['status'], file['failure_detail'])}")
        elif (told := _passages_wrong(upload.content.decode(), passages)) is not None:
            found.append(f"{upload.id}: {told}")
    found += [f"{file_id} was never confirmed to its client" for file_id in files]
    found += [f"{file_id} has passages and no file" for file_id in chunks]
    return found


def _passages_wrong(content: str, passages: list[Any]) -> str | None:
    """Each is the slice that it says, each is there once, and together they leave out no word."""
    if [each.ordinal for each in passages] != list(range(len(passages))):
        return f"the passages are {[each.ordinal for each in passages]}"
    covered = 0
    for each in passages:
        if content[each.char_start : each.char_end] != each.text:
            return f"passage {each.ordinal} is not what stands at its place"
        if content[covered : each.char_start].strip():
            return f"words are missing before passage {each.ordinal}"
        covered = max(covered, each.char_end)
    return "words are missing at the end" if content[covered:].strip() else None
