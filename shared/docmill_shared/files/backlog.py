"""How many files wait: Postgres is the queue of record."""

from dataclasses import dataclass

from sqlalchemy import Boolean, Connection, DateTime, column, func, select, table

#: A view, since an operator who asks the api may see how much waits and not whose it is.
_WAITING = table("waiting_files", column("bulk", Boolean), column("queued_at", DateTime(True)))


@dataclass(frozen=True, slots=True)
class Backlog:
    """Files in QUEUED, also those whose next attempt is not due yet."""

    files: int = 0
    oldest_seconds: float | None = None


def backlog(connection: Connection) -> dict[bool, Backlog]:
    """What waits, by whether it was uploaded in bulk; a kind of which nothing waits is missing.

    Exact, so it reads every row that waits: about 0.1 s for 300,000.
    """
    age = func.extract("epoch", func.now() - func.min(_WAITING.c.queued_at))
    query = select(_WAITING.c.bulk, func.count(), age).group_by(_WAITING.c.bulk)
    return {
        bulk: Backlog(files, None if oldest is None else max(0.0, float(oldest)))
        for bulk, files, oldest in connection.execute(query)
    }
