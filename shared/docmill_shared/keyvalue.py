"""Redis or Valkey: the client that every process uses, for queues, quotas and progress."""

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from docmill_shared.settings import ServiceSettings


def connect(settings: ServiceSettings, *, seconds: float | None = None) -> redis.Redis:
    """A client that connects on first use and gives up in seconds, or after so many.

    redis-py by itself waits and retries for longer than a web request may take.
    """
    client: redis.Redis = redis.Redis.from_url(
        settings.redis_url,
        socket_connect_timeout=seconds or 2,
        socket_timeout=seconds or 5,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=30,
    )
    return client
