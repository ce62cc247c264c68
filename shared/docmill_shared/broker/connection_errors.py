"""Redis' errors as the one kind that Dramatiq's worker knows how to survive."""

from collections.abc import Iterator
from contextlib import contextmanager

from dramatiq.errors import ConnectionClosed
from redis import RedisError


@contextmanager
def connection_errors() -> Iterator[None]:
    """Turn every error of redis-py into Dramatiq's ``ConnectionClosed``.

    Dramatiq itself does so for some calls and for one class of errors only; a time-out or a Redis
    that is still loading then ends a consumer thread, or loses a message.
    """
    try:
        yield
    except RedisError as error:
        raise ConnectionClosed(error) from None  # type: ignore[no-untyped-call]
