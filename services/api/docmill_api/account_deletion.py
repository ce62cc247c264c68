"""The end of an account: refused at once, out of everybody's search; the rest is the janitor's."""

from datetime import UTC, datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError

from docmill_api import passwords, sessions
from docmill_api.problems import Problem
from docmill_api.resources import Resources
from docmill_api.tokens import LEEWAY, AccessToken
from docmill_shared import accounts, api_keys, audit, closed_accounts, job_schedule, revocations
from docmill_shared.audit import Event, Origin
from docmill_shared.database import autocommit
from docmill_shared.files import deletions
from docmill_shared.messages import RunJob
from docmill_shared.observability import get_logger
from docmill_shared.row_security import transaction_of
from docmill_shared.states import Visibility
from docmill_shared.webhooks import registrations

#: What others find goes in the transaction that ends the account, as far as that takes a moment.
_FILES_AT_ONCE = 100
_PASSAGES_AT_ONCE = 2_000
#: An account without a password shows by a young token that it is somebody who just signed in.
_YOUNG = timedelta(minutes=10)

log = get_logger(__name__)


def delete(resources: Resources, origin: Origin, token: AccessToken, password: str | None) -> None:
    """End the account whose token this is; a :class:`Problem` when the password is wrong.

    From the commit on, its tokens and keys are refused and its e-mail is free for another account.
    Files go with the janitor, who is told; should the message be lost, its next turn is a minute
    away.
    """
    known = _require_owner(resources, origin, token, password)
    user_id = token.user_id
    with transaction_of(resources.engine, user_id) as connection:
        if not closed_accounts.close(
            connection, user_id, password_hash=known, nobodys_hash=passwords.NOBODYS
        ):
            raise Problem(403, "wrong_password", "The password is wrong.")
        revocations.revoke(connection, token.jti, token.expires_at + LEEWAY)
        sessions.end_all(resources, connection, user_id)
        api_keys.revoke_all(connection, user_id)
        for webhook in registrations.listed(connection, user_id):
            registrations.disable(connection, webhook.id, user_id)
        deletions.take_of_owners(
            connection,
            [user_id],
            visibility=Visibility.PUBLIC,
            limit=_FILES_AT_ONCE,
            passages=_PASSAGES_AT_ONCE,
        )
        audit.record(connection, Event.ACCOUNT_DELETED, user_id=user_id, **origin)
    log.info("account deleted", user_id=str(user_id))
    _tell_janitor(resources)


def _require_owner(
    resources: Resources, origin: Origin, token: AccessToken, password: str | None
) -> str:
    """The password hash that the account has, once it is clear that its owner asks."""
    with autocommit(resources.engine) as connection:
        known = accounts.password_hash(connection, token.user_id)
    if known == passwords.NOBODYS:
        if token.issued_at < datetime.now(UTC) - _YOUNG:
            raise Problem(403, "sign_in_again", "Sign in again at the identity provider first.")
        return known
    return sessions.require_password(
        resources, origin, token.user_id, password or "", "account_deletion"
    )


def _tell_janitor(resources: Resources) -> None:
    try:
        with autocommit(resources.engine) as connection:
            if job_schedule.is_paused(connection, closed_accounts.JOB):
                return
    except SQLAlchemyError:
        return  # what was committed stays so; the schedule has the job
    sessions.tell_janitor(resources, RunJob(job=closed_accounts.JOB))
