"""The naive worker's system: the same servers and schema, and a client that uploads to it."""

import threading
import urllib.request
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID, uuid4

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.errors import BrokerConnectionError
from minio import Minio
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from tests.chaos.corpus import OWNERS, Document
from tests.chaos.fleet import Fleet
from tests.chaos.ground import Ground, patiently
from tests.chaos.systems import Upload, workers

#: What the seed's tables do not have. Some of it would hide its faults, some would stop it.
_SEED_SCHEMA = """
alter table chunks drop constraint chunks_file_ordinal;
drop index files_owner_content;
alter table files drop constraint files_lease_iff_processing;
alter table files drop constraint files_reason_iff_failed;
"""
_PASSING = (SQLAlchemyError, OSError, redis.RedisError, BrokerConnectionError)


class NaiveSystem:
    """See :class:`tests.chaos.systems.System`."""

    name = "naive"

    def __init__(self, ground: Ground, database: str) -> None:
        self.given_up = threading.Event()
        url, self.engine = ground.migrated_database(database)
        with self.engine.begin() as connection:
            for statement in _SEED_SCHEMA.strip().splitlines():
                connection.execute(text(statement))
        ground.flush()
        environment = ground.environment(url)
        self._redis = redis.Redis.from_url(environment["REDIS_URL"], socket_timeout=5)
        self._broker = RedisBroker(client=self._redis)  # type: ignore[no-untyped-call]
        self._bucket = environment["S3_BUCKET"]
        self._s3 = Minio(
            environment["S3_ENDPOINT"].removeprefix("http://"),
            access_key=environment["S3_ACCESS_KEY"],
            secret_key=environment["S3_SECRET_KEY"],
            region=environment["S3_REGION"],
            secure=False,
        )
        self._owners = [uuid4() for _ in range(OWNERS)]
        self._enqueueing = threading.Lock()
        # Dramatiq's own number of threads.
        members = workers(
            "tests.chaos.naive_worker", environment, threads=8, ready_line="Worker process is ready"
        )
        self.fleet = Fleet(members, ground.processes)

    def start(self) -> None:
        """See :class:`System`."""
        with self.engine.begin() as connection:
            for owner in self._owners:
                connection.execute(
                    text("insert into users (id, email, password_hash) values (:id, :email, '-')"),
                    {"id": owner, "email": f"{owner}@example.org"},
                )
        self.fleet.start()

    def close(self) -> None:
        """Give connections back."""
        self._redis.close()
        self.engine.dispose()

    def upload(self, document: Document) -> Upload:
        """See :class:`System`."""
        owner_id, file_id = self._owners[document.owner], uuid4()
        key = f"uploads/{owner_id}/{file_id}"
        self._write(
            "insert into files (id, owner_id, name, media_type, size_bytes, object_key)"
            " values (:id, :owner, :name, :media_type, :size, :key) on conflict do nothing",
            id=file_id,
            owner=owner_id,
            name=document.name,
            media_type=document.media_type,
            size=len(document.content),
            key=key,
        )
        patiently(lambda: self._put(key, document.content), passing=_PASSING, unless=self.given_up)
        self._write("update files set status = 'QUEUED' where id = :id", id=file_id)
        patiently(lambda: self._enqueue(file_id), passing=_PASSING, unless=self.given_up)
        return Upload(document, owner_id, file_id)

    def in_queue(self) -> set[UUID] | None:
        """See :class:`System`: waiting, prefetched, running or delayed."""
        found: set[UUID] = set()
        for name in ("dramatiq:default.msgs", "dramatiq:default.DQ.msgs"):
            for data in self._redis.hvals(name):
                assert isinstance(data, bytes)
                found.add(UUID(str(dramatiq.Message.decode(data).args[0])))
        return found

    def left_after_deletions(self, uploads: Sequence[Upload]) -> list[str] | None:
        """See :class:`System`."""
        return None

    def left_behind(self) -> int | None:
        """See :class:`System`: its retries may be hours away, so there is always something."""
        return None

    def _write(self, statement: str, **values: object) -> None:
        def once() -> None:
            with self.engine.begin() as connection:
                connection.execute(text(statement), values)

        patiently(once, passing=_PASSING, unless=self.given_up)

    def _put(self, key: str, content: bytes) -> None:
        url = self._s3.presigned_put_object(self._bucket, key, timedelta(minutes=5))
        request = urllib.request.Request(url, data=content, method="PUT")
        urllib.request.urlopen(request, timeout=20).close()

    def _enqueue(self, file_id: UUID) -> None:
        message: dramatiq.Message[None] = dramatiq.Message(
            queue_name="default", actor_name="ingest", args=(str(file_id),), kwargs={}, options={}
        )
        with self._enqueueing:
            self._broker.enqueue(message)
