"""Welcomes one user: claim, send, settle; each in a step of its own, none holding a lock.

A user is welcomed once, however often the message is delivered and by however many workers. One
small window stays open, as with every mail: when a worker dies, or loses the database for longer
than ``SETTLE_SECONDS``, after the mail server took the mail and before that was written down, a
second copy goes out once the claim has expired. It has the same Message-ID as the first, by which
mail servers and readers recognise it.
"""

from collections.abc import Callable
from uuid import UUID

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from docmill_janitor import welcome_letter
from docmill_janitor.mail import MailRefused, MailUnavailable
from docmill_janitor.mail_settings import mailbox
from docmill_janitor.resources import Resources
from docmill_shared import welcomes
from docmill_shared.database import autocommit, outlast
from docmill_shared.observability import get_logger
from docmill_shared.welcomes import Claim

_log = get_logger(__name__)

#: How long a restart of the database may take without a second copy being sent.
SETTLE_SECONDS = 30.0


def welcome(user_id: UUID, resources: Resources) -> None:
    """Send the mail, unless it was sent, is being sent, or no mail server is set.

    Raises:
        MailUnavailable: not now; the claim is released, so that a later attempt finds it free.
    """
    sender = resources.settings.mail_from
    if resources.mailer is None or sender is None:
        _log.debug("no mail server is set", user_id=str(user_id))
        return
    with autocommit(resources.engine) as connection:
        held = welcomes.claim(connection, user_id)
    if held is None:
        _log.debug("welcomed already, or by somebody else just now", user_id=str(user_id))
        return
    try:
        letter = welcome_letter.compose(user_id, held.email, mailbox(sender))
        resources.mailer.send(letter)
    except MailUnavailable:
        _release(held, resources)
        raise
    except MailRefused as error:
        _log.warning(
            "no welcome mail, for good",
            user_id=str(user_id),
            address=masked(held.email),
            why=str(error),
        )
        _settle(welcomes.give_up, held, resources)
        return
    if _settle(welcomes.sent, held, resources):
        _log.info("welcomed", user_id=str(user_id))
    else:
        _log.warning("the claim expired while sending", user_id=str(user_id))


def masked(email: str) -> str:
    """Enough of an address to know it again, and too little to write to: ``a…@example.org``."""
    local, _, domain = email.rpartition("@")
    return f"{local[:1]}…@{domain}"


def _settle(change: Callable[[Connection, Claim], bool], held: Claim, resources: Resources) -> bool:
    def settle() -> bool:
        with autocommit(resources.engine) as connection:
            return change(connection, held)

    return outlast(settle, seconds=SETTLE_SECONDS)


def _release(held: Claim, resources: Resources) -> None:
    """Best effort: a claim that stays expires."""
    try:
        with autocommit(resources.engine) as connection:
            welcomes.release(connection, held)
    except SQLAlchemyError as error:
        _log.warning("the claim could not be released", error=str(error).partition("\n")[0])
