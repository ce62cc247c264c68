"""Reserve, send the bytes to the object store, confirm."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import uuid4

import httpx

from docmill_client.answers import File, Json
from docmill_client.api import Api
from docmill_client.errors import DocmillError, FileChanged, UploadRefused
from docmill_client.transport import Call

#: Bytes that were sent of how many.
OnProgress = Callable[[int, int], None]

_BLOCK = 256 * 1024


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be uploaded, and as what."""

    path: Path
    name: str | None = None  #: None: the path's last part
    media_type: str | None = None  #: None: guessed from the name, by the api
    visibility: str = "private"
    bulk: bool = False
    find_duplicate: bool = False  #: read the file twice, and do not send what is there already


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What became of one of many uploads: a file, or the error that was in its way."""

    path: Path
    file: File | None
    error: DocmillError | OSError | None = None

    def after(self, ended: Mapping[str, File]) -> "Uploaded":
        """The same with the file as it has become, once it was waited for."""
        if self.file is None or self.file.is_final:
            return self
        if self.file.id in ended:
            return Uploaded(self.path, ended[self.file.id])
        gone = DocmillError(f"{self.path.name} was deleted before it was ingested.", code="gone")
        return Uploaded(self.path, None, gone)


def upload(api: Api, wish: Wish, on_progress: OnProgress | None = None) -> File:
    """The file as it is once it is confirmed; it is read as it is sent, never whole.

    Raises:
        OSError: it cannot be read.
        DocmillError: anything else.
    """
    size = wish.path.stat().st_size
    reservation = Call(
        "POST",
        "/v1/files",
        body=_body(wish, size),
        # The same for every attempt of this upload, so that it reserves one place.
        headers={"Idempotency-Key": uuid4().hex},
        repeatable=True,
    )
    for last in (False, True):
        reserved = api.call(reservation)
        if reserved["upload"] is None:
            return File.of(reserved["file"])  # its bytes are there already
        status = _put(api, wish.path, size, reserved["upload"], on_progress)
        # A URL that expired between two attempts is refused; its place is given out again.
        if status != httpx.codes.FORBIDDEN or last:
            break
    if not httpx.codes.is_success(status):
        raise UploadRefused(
            f"The object store refused the upload (status {status}).", status=status
        )
    file_id = reserved["file"]["id"]
    return File.of(api.call(Call("POST", f"/v1/files/{file_id}/confirm", repeatable=True)))


def upload_many(
    api: Api,
    wishes: Sequence[Wish],
    on_progress: Callable[[Path, int, int], None] | None,
    at_once: int,
) -> list[Uploaded]:
    """What became of each, in their order; ``on_progress`` is called by several threads."""

    def send(wish: Wish) -> Uploaded:
        progress = None if on_progress is None else partial(on_progress, wish.path)
        try:
            return Uploaded(wish.path, upload(api, wish, progress))
        except (DocmillError, OSError) as error:
            return Uploaded(wish.path, None, error)

    executor = ThreadPoolExecutor(at_once, thread_name_prefix="docmill-upload")
    try:
        return list(executor.map(send, wishes))
    finally:
        executor.shutdown(cancel_futures=True)


def _body(wish: Wish, size: int) -> Json:
    body: Json = {
        "name": wish.name or wish.path.name,
        "size_bytes": size,
        "visibility": wish.visibility,
    }
    if wish.media_type is not None:
        body["media_type"] = wish.media_type
    if wish.bulk:
        body["bulk"] = True
    if wish.find_duplicate:
        with wish.path.open("rb") as file:
            body["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
    return body


def _put(api: Api, path: Path, size: int, target: Json, on_progress: OnProgress | None) -> int:
    """The store's status."""
    headers = {**target["headers"], "Content-Length": str(size)}
    # A new reader for each attempt, so that a repeated one starts at the first byte.
    answer = api.transport.put(target["url"], headers, lambda: _blocks(path, size, on_progress))
    return answer.status_code


def _blocks(path: Path, size: int, on_progress: OnProgress | None) -> Iterator[bytes]:
    """The file's first ``size`` bytes; what was promised is sent even if the file grows."""
    sent = 0
    with path.open("rb") as file:
        while sent < size and (block := file.read(min(_BLOCK, size - sent))):
            yield block
            sent += len(block)
            if on_progress is not None:
                on_progress(sent, size)
    if sent < size:
        raise FileChanged(f"{path.name} became shorter while it was uploaded.")
