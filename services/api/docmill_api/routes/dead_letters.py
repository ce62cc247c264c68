"""Dead letters: list, read, retry, delete."""

from datetime import datetime
from typing import Any

from flask import Response
from pydantic import BaseModel, Field

from docmill_api import cursors
from docmill_api.answers import answer, nothing, problems
from docmill_api.client_input import Moment, Requested, Text
from docmill_api.current import caller, resources
from docmill_api.problems import Problem
from docmill_api.routes.blueprints import operators
from docmill_shared.broker import dead_letters, queues
from docmill_shared.broker.dead_letters import DeadLetter
from docmill_shared.observability import get_logger

blueprint = operators("dead letters", "Messages that failed for good. They are kept for a week.")

log = get_logger(__name__)

#: Letters that one request sends again.
_RETRIED_AT_ONCE = 1_000
#: Of a message that cannot be read, so many bytes are shown.
_RAW_BYTES = 2_000


class DeadLetterView(BaseModel):
    """A message that failed for good."""

    id: str
    queue: str
    actor: str | None = Field(description="Null when the message cannot be read.")
    died_at: datetime
    error: str = Field(description="Why, in one line.")

    @classmethod
    def of(cls, letter: DeadLetter) -> "DeadLetterView":
        """From Redis."""
        return cls(**_fields(letter))


class DeadLetterDetails(DeadLetterView):
    """A dead letter with all that is known of it."""

    arguments: dict[str, Any] = Field(description="By name.")
    positional: list[Any] = Field(description="Without names; docmill's own messages have none.")
    sent_at: datetime | None = Field(description="When it was first sent.")
    retries: int
    traceback: str | None = Field(description="Of the last attempt; null when its workers died.")
    raw: str | None = Field(description="The beginning of a message that cannot be read.")

    @classmethod
    def of(cls, letter: DeadLetter) -> "DeadLetterDetails":
        """From Redis."""
        message = letter.message
        return cls(
            **_fields(letter),
            arguments=message.kwargs if message else {},
            positional=list(message.args) if message else [],
            sent_at=queues.moment(message.message_timestamp) if message else None,
            retries=letter.retries,
            traceback=letter.traceback,
            raw=None if message else letter.data[:_RAW_BYTES].decode(errors="replace"),
        )


class DeadLettersQuery(Requested):
    """Which part of the list."""

    queue: Text | None = Field(None, max_length=200, description="Only those of this queue.")
    limit: int = Field(50, ge=1, le=200)
    cursor: str | None = Field(None, max_length=512, description="`next_cursor` of the page before")


class DeadLetterList(BaseModel):
    """Dead letters, those that died last first."""

    items: list[DeadLetterView]
    next_cursor: str | None = Field(description="Null on the last page.")


class DeadLetterId(BaseModel):
    """Which dead letter."""

    queue: str
    dead_id: str


class RetryMany(Requested):
    """Which dead letters to send again."""

    queue: Text = Field(min_length=1, max_length=200)
    died_before: Moment | None = Field(
        None, description="Only those that died before; now when absent."
    )


class Retried(BaseModel):
    """What became of them."""

    retried: int
    unreadable: int = Field(description="So many stay, because they cannot be read.")
    more: bool = Field(
        description="There are more: ask again, with this `died_before`, so that those which die"
        " anew are not met again."
    )
    died_before: datetime


_NONE = problems(_404="`dead_letter_not_found`")


@blueprint.get(
    "/dead-letters", responses={200: DeadLetterList, **problems(_422="A parameter is wrong.")}
)
def list_dead_letters(query: DeadLettersQuery) -> Response:
    """The dead letters of one queue or of all, those that died last first."""
    after = None if query.cursor is None else cursors.decode_death(query.cursor)
    found = dead_letters.listed(
        resources().broker, limit=query.limit + 1, queue=query.queue, after=after
    )
    page = found[: query.limit]
    more = len(found) > len(page)
    return answer(
        DeadLetterList(
            items=[DeadLetterView.of(letter) for letter in page],
            next_cursor=cursors.encode_death(*page[-1].place) if more else None,
        )
    )


@blueprint.get("/dead-letters/<queue>/<dead_id>", responses={200: DeadLetterDetails, **_NONE})
def get(path: DeadLetterId) -> Response:
    """One dead letter with its arguments and its traceback."""
    return answer(DeadLetterDetails.of(_find(path)))


@blueprint.post(
    "/dead-letters/<queue>/<dead_id>/retry",
    responses={204: None, **_NONE, **problems(_409="`unreadable`: it cannot be read.")},
)
def retry(path: DeadLetterId) -> Response:
    """Send it again, with all its attempts before it."""
    letter = _find(path)
    if letter.message is None:
        raise Problem(409, "unreadable", "This message cannot be read, so it can only be deleted.")
    if not dead_letters.revive(resources().broker, letter):
        raise _not_found()
    log.info("a dead letter was retried", queue=path.queue, id=path.dead_id, by=str(caller().id))
    return nothing()


@blueprint.post(
    "/dead-letters/retry",
    responses={
        200: Retried,
        **problems(
            _400="Malformed JSON.",
            _404="`queue_not_found`",
            _413="Body too large.",
            _415="Not JSON.",
            _422="A field is wrong.",
        ),
    },
)
def retry_many(body: RetryMany) -> Response:
    """Send the dead letters of a queue again, up to 1,000 of them."""
    broker = resources().broker
    if not queues.is_known(broker, body.queue):
        raise Problem(404, "queue_not_found", f"There is no queue {body.queue}.")
    died_before = body.died_before or queues.clock(broker)
    done = dead_letters.revive_all(
        broker, body.queue, died_before=died_before, limit=_RETRIED_AT_ONCE
    )
    log.info("dead letters retried", queue=body.queue, count=done.revived, by=str(caller().id))
    return answer(
        Retried(
            retried=done.revived,
            unreadable=done.unreadable,
            more=done.more,
            died_before=died_before,
        )
    )


@blueprint.delete("/dead-letters/<queue>/<dead_id>", responses={204: None, **_NONE})
def delete(path: DeadLetterId) -> Response:
    """Throw it away."""
    if not dead_letters.delete(resources().broker, path.queue, path.dead_id):
        raise _not_found()
    log.info("a dead letter was deleted", queue=path.queue, id=path.dead_id, by=str(caller().id))
    return nothing()


def _find(path: DeadLetterId) -> DeadLetter:
    letter = dead_letters.find(resources().broker, path.queue, path.dead_id)
    if letter is None:
        raise _not_found()
    return letter


def _not_found() -> Problem:
    return Problem(404, "dead_letter_not_found", "There is no such dead letter (any more).")


def _fields(letter: DeadLetter) -> dict[str, Any]:
    return {
        "id": letter.id,
        "queue": letter.queue,
        "actor": letter.message.actor_name if letter.message else None,
        "died_at": letter.died_at,
        "error": letter.error,
    }
