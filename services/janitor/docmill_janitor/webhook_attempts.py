"""One attempt at one delivery: sign, call, settle.

A delivery is sent at least once: if a worker dies, or loses the database for longer than
``SETTLE_SECONDS``, after the target took it, it is sent again under the same ``webhook-id``.
"""

import random
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine

from docmill_janitor import metrics
from docmill_janitor.webhook_calls import Answer, WebhookCaller
from docmill_shared import audit
from docmill_shared.audit import Event
from docmill_shared.database import outlast
from docmill_shared.observability import get_logger
from docmill_shared.webhooks import attempts, deliveries, registrations, secrets, signatures
from docmill_shared.webhooks.attempts import Claim

_log = get_logger(__name__)

#: With ``delay`` they take about a day.
MOST_ATTEMPTS = 12
_FIRST_DELAY = 5.0
_LONGEST_DELAY = 6 * 3600.0
#: How long a restart of the database may take without a delivery being sent twice.
SETTLE_SECONDS = 30.0


def delay(attempt: int, retry_after: float | None, spread: float) -> timedelta:
    """How long after this failed attempt the next one comes; ``spread`` is from 0 to 1.

    5 s, 15 s, 45 s and so on up to 6 h, each by up to a fifth shorter or longer, so that what
    failed together is not sent together again. What the target asks for counts if it is longer.
    """
    backoff = min(_FIRST_DELAY * 3.0 ** (attempt - 1), _LONGEST_DELAY) * (0.8 + 0.4 * spread)
    return timedelta(seconds=max(backoff, min(retry_after or 0.0, _LONGEST_DELAY)))


def attempt(
    engine: Engine, caller: WebhookCaller, key: bytes, held: Claim, *, now: datetime
) -> Answer:
    """Send what was claimed ``now``, and write down what came of it."""
    valid = secrets.valid(
        key, held.webhook_id, held.secret_version, held.previous_secret_until, now
    )
    content = signatures.body(held.payload)
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "docmill",
        "Connection": "close",
        **signatures.headers(held.id, now, content, valid),
    }
    answer = caller.post(held.url, content, headers)
    metrics.WEBHOOK_SECONDS.observe(answer.seconds)
    ended = now + timedelta(seconds=answer.seconds)
    outcome = _settle(engine, held, answer, now=now, ended=ended)
    metrics.WEBHOOK_DELIVERIES.labels("refused" if answer.refused else outcome).inc()
    _log.info(
        "webhook attempted",
        webhook_id=str(held.webhook_id),
        delivery_id=str(held.id),
        attempt=held.attempt,
        outcome=outcome,
        status=answer.status,
        error=answer.error,
        ms=round(answer.seconds * 1000),
    )
    return answer


def _settle(engine: Engine, held: Claim, answer: Answer, *, now: datetime, ended: datetime) -> str:
    entry = deliveries.log_entry(
        now, answer.error, status=answer.status, ms=round(answer.seconds * 1000)
    )
    if answer.error is None:
        change, outcome = _delivered, "delivered"
    elif answer.status == 410 or held.attempt >= MOST_ATTEMPTS:
        change, outcome = _given_up, "failed"
    else:
        change, outcome = _retried, "retried"

    def settle() -> bool:
        with engine.begin() as connection:
            return change(connection, held, answer, entry, ended)

    return outcome if outlast(settle, seconds=SETTLE_SECONDS) else "lease_lost"


def _delivered(
    connection: Connection, held: Claim, answer: Answer, entry: str, ended: datetime
) -> bool:
    return attempts.delivered(connection, held, entry, now=ended)


def _retried(
    connection: Connection, held: Claim, answer: Answer, entry: str, ended: datetime
) -> bool:
    spread = random.random()  # noqa: S311 - it only spreads load
    at = ended + delay(held.attempt, answer.retry_after, spread)
    return attempts.retry(connection, held, entry, at=at)


def _given_up(
    connection: Connection, held: Claim, answer: Answer, entry: str, ended: datetime
) -> bool:
    if not attempts.give_up(connection, held, entry, now=ended):
        return False
    gone = answer.status == 410
    if gone or attempts.has_failed_for_days(connection, held.webhook_id, now=ended):
        registrations.disable(connection, held.webhook_id, held.owner_id)
        audit.record(
            connection,
            Event.WEBHOOK_DISABLED,
            user_id=held.owner_id,
            detail={"webhook_id": str(held.webhook_id), "why": "gone" if gone else "failing"},
            **audit.NO_REQUEST,
        )
    return True
