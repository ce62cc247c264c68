"""Live progress: what a worker tells whoever is watching, by Redis' publish and subscribe.

Nothing is kept: the row says the same, at most a second later. Each owner has a channel.
"""

import contextlib
import json
from uuid import UUID

import redis


def channel(owner_id: UUID) -> str:
    """The channel on which an owner's files report."""
    return f"docmill:progress:{owner_id}"


class ProgressChannel:
    """Publishes the progress of files."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def publish(
        self,
        owner_id: UUID,
        file_id: UUID,
        *,
        status: str,
        stage: str | None = None,
        page_count: int | None = None,
        pages_done: int = 0,
        chunks_done: int = 0,
    ) -> None:
        """Tell it; without Redis nobody is told, and nothing else happens."""
        event = {
            "file_id": str(file_id),
            "status": status,
            "stage": stage,
            "page_count": page_count,
            "pages_done": pages_done,
            "chunks_done": chunks_done,
        }
        with contextlib.suppress(redis.RedisError):
            self._client.publish(channel(owner_id), json.dumps(event))
