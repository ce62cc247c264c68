"""docmill as production runs it: api, ingest workers, scheduler and janitor."""

import secrets
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import httpx
import redis

from docmill_dev.ports import free_port
from docmill_janitor.jobs.dispatch_due import LOST_AFTER
from docmill_shared.broker.redis_broker import HEARTBEAT_TIMEOUT_MS
from docmill_shared.messages import BULK_QUEUE, INGEST_QUEUE
from tests.chaos.corpus import OWNERS, Document
from tests.chaos.deleting import delete_some, unreconciled
from tests.chaos.fleet import Fleet, Member
from tests.chaos.ground import Ground, patiently
from tests.chaos.systems import Upload, dramatiq, workers

LEASE_SECONDS = 5
#: The longest until a message is sent again that a FLUSHALL has taken; the dispatcher's rhythm is
#: below.
LOST_SECONDS = LOST_AFTER.total_seconds() + 1

#: What differs from the defaults, so that minutes show what takes hours in production.
SETTINGS = {
    # Everything that waits for a death or for its turn does so 2 to 6 times as quickly.
    "LEASE_SECONDS": str(LEASE_SECONDS),
    "RECOVER_SECONDS": "1",
    "DISPATCH_SECONDS": "1",
    "FINISH_DELETIONS_SECONDS": "1",
    "RETRY_SECONDS": "0.2",
    "SHUTDOWN_GRACE_SECONDS": "2",
    # A fault every few seconds would use up 3 attempts and 3 deaths of an innocent file, which
    # are meant for files that are at fault themselves.
    "MAX_ATTEMPTS": "20",
    "MAX_DELIVERIES": "20",
    # A hanging call must end within the run.
    "GEMINI_TIMEOUT_SECONDS": "5",
    # Three workers with two threads each share two cores as it is; the default is meant for a
    # worker with cores of its own and a provider that is further away.
    "EMBEDDING_CONCURRENCY": "1",
    "API_WORKERS": "1",
    "ACCESS_TOKEN_MINUTES": "1440",
}


class _NotNow(Exception):
    """The api or the store answered with a status that passes."""


class DocmillSystem:
    """See :class:`tests.chaos.systems.System`."""

    name = "docmill"

    def __init__(self, ground: Ground, database: str) -> None:
        self.given_up = threading.Event()
        url, self.engine = ground.migrated_database(database)
        port = free_port()
        environment = {
            **ground.environment(url),
            **SETTINGS,
            "JWT_SECRET": secrets.token_hex(32),
            # All of it comes from one address and a few accounts.
            "RATE_LIMITS": "false",
            "API_HOST": "127.0.0.1",
            "API_PORT": str(port),
        }
        self._environment = environment
        self._ground = ground
        self._redis_url = environment["REDIS_URL"]
        self._url = f"http://127.0.0.1:{port}"
        self._http = httpx.Client(timeout=httpx.Timeout(20, connect=3), trust_env=False)
        self._tokens: dict[int, tuple[UUID, str]] = {}
        ready = "ready for messages"
        python = [sys.executable, "-m"]
        gunicorn = ["gunicorn", "-c", "python:docmill_api.gunicorn_config", "docmill_api.wsgi:app"]
        self.fleet = Fleet(
            [
                Member("api", [*python, *gunicorn], environment, ready_url=f"{self._url}/readyz"),
                *workers(
                    "docmill_ingest.worker",
                    environment,
                    threads=2,
                    ready_line=ready,
                    work=ground.directory / "work",
                ),
                Member(
                    "scheduler",
                    [*python, "docmill_janitor.scheduler"],
                    environment,
                    "the schedule runs",
                ),
                Member("janitor", dramatiq("docmill_janitor.worker", 2), environment, ready),
            ],
            ground.processes,
        )

    def start(self) -> None:
        """See :class:`System`; the accounts exist as well."""
        self.fleet.start()
        for owner in range(OWNERS):
            self._register(owner)

    def close(self) -> None:
        """Give connections back."""
        self._http.close()
        self.engine.dispose()

    def upload(self, document: Document) -> Upload:
        """See :class:`System`."""
        return self.upload_as(document.owner, document)

    def upload_as(self, owner: int, document: Document) -> Upload:
        """The same by an owner other than the document's; owners are made as they are needed."""
        if owner not in self._tokens:
            self._register(owner)
        owner_id, token = self._tokens[owner]
        wish = {
            "name": document.name,
            "media_type": document.media_type,
            "size_bytes": len(document.content),
        }
        reserved = self._call("POST", "/v1/files", token, wish)
        target, file_id = reserved["upload"], str(reserved["file"]["id"])

        def put() -> None:
            content = document.content
            answer = self._http.put(target["url"], content=content, headers=target["headers"])
            _check(answer)

        patiently(put, passing=(httpx.TransportError, _NotNow), unless=self.given_up)
        self._call("POST", f"/v1/files/{file_id}/confirm", token, None)
        return Upload(document, owner_id, UUID(file_id))

    def in_queue(self) -> set[UUID] | None:
        """See :class:`System`: the queue of record is the table itself."""
        return None

    def delete(self, upload: Upload) -> None:
        """As its owner does."""
        _, token = self._tokens[upload.document.owner]
        self._call("DELETE", f"/v1/files/{upload.file_id}", token, None)

    def left_after_deletions(self, uploads: Sequence[Upload]) -> list[str] | None:
        """See :class:`System`; the store is killed on the way."""
        delete_some(self._ground, self, uploads)
        return unreconciled(self._environment)

    def left_behind(self) -> int | None:
        """See :class:`System`: what a dead worker held is taken over or dropped in a while.

        A message that stays counts in the queue's depth for ever, and the dispatcher stops when
        the depth has reached its cap.
        """
        deadline = time.monotonic() + HEARTBEAT_TIMEOUT_MS / 1000 + 5
        while (left := self._depth()) and time.monotonic() < deadline:
            time.sleep(0.2)
        return left

    def _depth(self) -> int:
        with redis.Redis.from_url(self._redis_url, socket_timeout=5) as client:
            queues = (INGEST_QUEUE, BULK_QUEUE)
            return sum(client.hlen(f"dramatiq:{queue}.msgs") for queue in queues)

    def _register(self, owner: int) -> None:
        account = {"email": f"owner-{owner}@example.org", "password": secrets.token_hex(12)}
        answer = self._call("POST", "/v1/auth/register", None, account)
        token = self._call("POST", "/v1/auth/login", None, account)["access_token"]
        self._tokens[owner] = (UUID(str(answer["id"])), str(token))

    def _call(
        self, method: str, path: str, token: str | None, body: Mapping[str, object] | None
    ) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}

        def once() -> dict[str, Any]:
            answer = self._http.request(method, self._url + path, json=body, headers=headers)
            _check(answer)
            found: dict[str, Any] = answer.json() if answer.content else {}
            return found

        return patiently(once, passing=(httpx.TransportError, _NotNow), unless=self.given_up)


def _check(answer: httpx.Response) -> None:
    if answer.status_code >= 500 or answer.status_code == 429:
        raise _NotNow(f"{answer.request.url.path} answered {answer.status_code}: {answer.text}")
    if not answer.is_success:
        raise RuntimeError(f"{answer.request.url.path} answered {answer.text}")
