"""The object store: a small port named for what docmill does with it, on the minio SDK."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.deleteobjects import DeleteObject
from minio.error import InvalidResponseError, S3Error, ServerError

from docmill_shared.errors import ObjectMissing, StorageUnavailable
from docmill_shared.presigning import Signer
from docmill_shared.settings import ServiceSettings

#: S3 deletes at most this many objects a call.
DELETE_BATCH = 1_000
READ_BYTES = 1024**2
#: A store that cannot be reached is tried once more, so it costs twice this.
CONNECT_SECONDS = 2.0
#: For work in the background: a store under load may take its time to delete a thousand objects.
ANSWER_SECONDS = 30.0

_MISSING = frozenset({"NoSuchKey", "NoSuchObject", "ResourceNotFound"})
#: What stores say of a range that goes beyond an object's end: S3 of an empty one, others of any.
_NO_RANGE = frozenset({"InvalidRange", "InvalidArgument"})


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What the store knows of an object without reading it."""

    size_bytes: int


@dataclass(frozen=True, slots=True)
class ObjectStart:
    """How long an object is and how it begins."""

    size_bytes: int
    first_bytes: bytes


@dataclass(frozen=True, slots=True)
class ListedObject:
    """An object as the store lists it; ``last_modified`` is by the store's clock."""

    key: str
    size_bytes: int
    last_modified: datetime


class ObjectStore(Protocol):
    """Where the bytes of uploads are.

    Every method raises :class:`StorageUnavailable` when the store cannot be reached or refuses.
    """

    def presign_put(self, key: str, expires: timedelta, *, media_type: str, size_bytes: int) -> str:
        """A URL to which a client may PUT this one object until it expires; no network.

        The request carries ``media_type`` as its Content-Type and has ``size_bytes``; a store that
        verifies signed headers refuses any other.
        """

    def presign_get(
        self, key: str, expires: timedelta, *, media_type: str, disposition: str
    ) -> str:
        """A URL from which a client may GET this one object until it expires; no network.

        The store answers with this Content-Type and this Content-Disposition.
        """

    def head(self, key: str) -> ObjectInfo:
        """The object's size; raises :class:`ObjectMissing`."""

    def start(self, key: str, length: int) -> ObjectStart:
        """The object's size and its first ``length`` bytes at most, in one request.

        Raises :class:`ObjectMissing`.
        """

    def read(self, key: str) -> Iterator[bytes]:
        """The object's bytes in pieces of a megabyte; raises :class:`ObjectMissing`."""

    def delete_many(self, keys: Sequence[str]) -> list[str]:
        """Delete objects, in batches; return the keys that could not be deleted.

        Deleting what does not exist counts as deleted.
        """

    def scan(self, prefix: str, *, after: str | None = None) -> Iterator[ListedObject]:
        """The objects whose keys begin with ``prefix``, sorted by key, from behind ``after``.

        Asks for a page of them only when the one before is used up.
        """

    def check(self) -> None:
        """Ask the store whether it and the bucket are there."""


class S3ObjectStore:
    """An S3 bucket."""

    def __init__(
        self, settings: ServiceSettings, *, answer_seconds: float = ANSWER_SECONDS
    ) -> None:
        """``answer_seconds`` bounds the silence of a store that is reached and does not answer."""
        self._bucket = settings.s3_bucket
        self._client = _client(settings, settings.s3_endpoint, answer_seconds)
        # The host is part of a presigned URL's signature, so it must be the clients' own.
        public = settings.s3_public_endpoint or settings.s3_endpoint
        self._public = _client(settings, public, answer_seconds)
        self._signer = Signer(
            settings.s3_access_key, settings.s3_secret_key.get_secret_value(), settings.s3_region
        )

    def presign_put(self, key: str, expires: timedelta, *, media_type: str, size_bytes: int) -> str:
        """See :class:`ObjectStore`."""
        headers = {"Content-Type": media_type, "Content-Length": str(size_bytes)}
        at = datetime.now(UTC)
        return self._signer.presign(
            "PUT", self._address(key), at=at, expires=expires, headers=headers
        )

    def presign_get(
        self, key: str, expires: timedelta, *, media_type: str, disposition: str
    ) -> str:
        """See :class:`ObjectStore`."""
        wished = {
            "response-content-type": media_type,
            "response-content-disposition": disposition,
        }
        at = datetime.now(UTC)
        return self._signer.presign(
            "GET", self._address(key), at=at, expires=expires, parameters=wished
        )

    def head(self, key: str) -> ObjectInfo:
        """See :class:`ObjectStore`."""
        with _storage_errors(key):
            return ObjectInfo(size_bytes=int(self._client.stat_object(self._bucket, key).size or 0))

    def start(self, key: str, length: int) -> ObjectStart:
        """See :class:`ObjectStore`."""
        with _storage_errors(key):
            try:
                response = self._client.get_object(self._bucket, key, length=length)
            except S3Error as error:
                size = self.head(key).size_bytes
                if error.code not in _NO_RANGE or size >= length:
                    raise
                return self.start(key, size) if size else ObjectStart(0, b"")
            try:
                first = response.read(length)
                _, _, total = response.headers.get("Content-Range", "").rpartition("/")
                # A store that knows no ranges sends everything, which is not read to its end.
                size = int(total or response.headers["Content-Length"])
            finally:
                response.close()
                response.release_conn()
        return ObjectStart(size, first)

    def read(self, key: str) -> Iterator[bytes]:
        """See :class:`ObjectStore`."""
        with _storage_errors(key):
            response = self._client.get_object(self._bucket, key)
            try:
                yield from response.stream(READ_BYTES)
            finally:
                response.close()
                response.release_conn()

    def delete_many(self, keys: Sequence[str]) -> list[str]:
        """See :class:`ObjectStore`."""
        failed: list[str] = []
        for start in range(0, len(keys), DELETE_BATCH):
            batch = [DeleteObject(key) for key in keys[start : start + DELETE_BATCH]]
            with _storage_errors(None):
                failed += [
                    str(error.name)
                    for error in self._client.remove_objects(self._bucket, batch)
                    if error.code not in _MISSING
                ]
        return failed

    def scan(self, prefix: str, *, after: str | None = None) -> Iterator[ListedObject]:
        """See :class:`ObjectStore`."""
        with _storage_errors(None):
            for each in self._client.list_objects(
                self._bucket, prefix, recursive=True, start_after=after
            ):
                yield ListedObject(each.object_name, each.size or 0, each.last_modified)

    def check(self) -> None:
        """See :class:`ObjectStore`."""
        with _storage_errors(None):
            if not self._client.bucket_exists(self._bucket):
                raise StorageUnavailable(f"The bucket {self._bucket!r} (S3_BUCKET) does not exist.")

    def _address(self, key: str) -> str:
        """Where clients reach the object: in the path or in the host, as the SDK decides."""
        url: str = self._public.presigned_get_object(self._bucket, key)
        return url.partition("?")[0]


def _client(settings: ServiceSettings, endpoint: str, answer_seconds: float) -> Minio:
    url = urlsplit(endpoint)
    return Minio(
        url.netloc,
        access_key=settings.s3_access_key,
        secret_key=settings.s3_secret_key.get_secret_value(),
        secure=url.scheme == "https",
        # Naming the region saves the SDK a look-up before its first call and all network calls
        # when it presigns.
        region=settings.s3_region,
        http_client=urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=answer_seconds),
            maxsize=16,
            retries=urllib3.Retry(total=1, connect=1, read=0, redirect=0, backoff_factor=0.2),
        ),
    )


@contextlib.contextmanager
def _storage_errors(key: str | None) -> Iterator[None]:
    try:
        yield
    except S3Error as error:
        if error.code in _MISSING and key is not None:
            raise ObjectMissing(f"There is no object {key}.") from error
        raise StorageUnavailable(f"The object store answered {error.code}.") from error
    except (ServerError, InvalidResponseError) as error:
        raise StorageUnavailable("The object store gave no valid answer.") from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise StorageUnavailable("The object store cannot be reached.") from error
