"""What the queues carry: one frozen class per message, with its actor's and queue's names.

A message is a contract apart from the actor that runs it, so the API can send one without
importing a worker. Messages carry ids, never documents. Field names and actor names are stable:
a message written before an upgrade must still be readable after it.
"""

from dataclasses import asdict, dataclass
from typing import ClassVar, Self

INGEST_QUEUE = "ingest"
BULK_QUEUE = "ingest_bulk"
JANITOR_QUEUE = "janitor"
MAIL_QUEUE = "mail"
#: Every queue that docmill consumes.
QUEUES = (INGEST_QUEUE, BULK_QUEUE, JANITOR_QUEUE, MAIL_QUEUE)


@dataclass(frozen=True, slots=True)
class Message:
    """The base of every message; subclasses name their actor and queue."""

    actor: ClassVar[str]
    queue: ClassVar[str]

    def to_fields(self) -> dict[str, object]:
        """The message as JSON-ready keyword arguments of its actor."""
        return asdict(self)

    @classmethod
    def from_fields(cls, fields: dict[str, object]) -> Self:
        """The message again; unknown fields of a newer sender are ignored."""
        known = cls.__dataclass_fields__
        return cls(**{name: value for name, value in fields.items() if name in known})


@dataclass(frozen=True, slots=True)
class IngestFile(Message):
    """Look at this file: if it is due, ingest it."""

    actor: ClassVar[str] = "ingest_file"
    queue: ClassVar[str] = INGEST_QUEUE

    file_id: str


@dataclass(frozen=True, slots=True)
class IngestBulkFile(Message):
    """The same for a file that can wait: one of many, or behind others of the same owner."""

    actor: ClassVar[str] = "ingest_bulk_file"
    queue: ClassVar[str] = BULK_QUEUE

    file_id: str


@dataclass(frozen=True, slots=True)
class RunJob(Message):
    """Run one recurring job of the janitor.

    Either for the slot (ISO 8601, UTC) that fired it, or because somebody asked for it; then
    ``run_id`` is the id under which the history will show it.
    """

    actor: ClassVar[str] = "run_job"
    queue: ClassVar[str] = JANITOR_QUEUE

    job: str
    slot: str | None = None
    run_id: str | None = None
    requested_by: str | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class WelcomeUser(Message):
    """Send this new account its welcome mail, unless it has had it."""

    actor: ClassVar[str] = "welcome_user"
    queue: ClassVar[str] = MAIL_QUEUE

    user_id: str
