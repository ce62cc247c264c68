"""The object store: a small port named for what docmill does with it, on the minio SDK."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.deleteobjects import DeleteObject
from minio.error import InvalidResponseError, S3Error, ServerError

from docmill_shared.errors import ObjectMissing, StorageUnavailable
from docmill_shared.settings import ServiceSettings

#: S3 deletes at most this many objects a call.
DELETE_BATCH = 1_000
READ_BYTES = 1024**2

_MISSING = frozenset({"NoSuchKey", "NoSuchObject", "ResourceNotFound"})


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What the store knows of an object without reading it."""

    size_bytes: int


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

    def presign_put(self, key: str, expires: timedelta) -> str:
        """A URL to which a client may PUT this one object until it expires; no network."""

    def head(self, key: str) -> ObjectInfo:
        """The object's size; raises :class:`ObjectMissing`."""

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

    def __init__(self, settings: ServiceSettings) -> None:
        self._bucket = settings.s3_bucket
        self._client = _client(settings, settings.s3_endpoint)
        # The host is part of a presigned URL's signature, so it must be the clients' own.
        self._public = _client(settings, settings.s3_public_endpoint or settings.s3_endpoint)

    def presign_put(self, key: str, expires: timedelta) -> str:
        """See :class:`ObjectStore`."""
        url: str = self._public.presigned_put_object(self._bucket, key, expires)
        return url

    def head(self, key: str) -> ObjectInfo:
        """See :class:`ObjectStore`."""
        with _storage_errors(key):
            return ObjectInfo(size_bytes=int(self._client.stat_object(self._bucket, key).size or 0))

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


def _client(settings: ServiceSettings, endpoint: str) -> Minio:
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
            timeout=urllib3.Timeout(connect=3, read=30),
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
