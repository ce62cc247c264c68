"""The welcome mail: ``templates/welcome.txt`` and ``welcome.html`` with the user's address."""

import html
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from importlib.resources import files
from string import Template
from uuid import UUID

from docmill_janitor.mail import MailRefused
from docmill_janitor.mail_settings import mailbox

SUBJECT = "Welcome to docmill"


def compose(user_id: UUID, email: str, sender: Address) -> EmailMessage:
    """The same user's letter always has the same Message-ID: a second copy can be told as one.

    Raises:
        MailRefused: this is no address that a mail could be sent to; one that would add a header
            or a second recipient is none.
    """
    try:
        recipient = mailbox(email)
    except ValueError:
        raise MailRefused("This is not an address of mail.") from None
    if recipient.display_name or recipient.addr_spec != email:
        raise MailRefused("This is more than an address of mail.")
    mail = EmailMessage()
    mail["From"] = sender
    mail["To"] = recipient
    mail["Subject"] = SUBJECT
    mail["Date"] = datetime.now(UTC)
    mail["Message-ID"] = f"<welcome.{user_id}@{sender.domain}>"
    # So that no absence notice answers it (RFC 3834).
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(_template("txt").substitute(email=email))
    mail.add_alternative(_template("html").substitute(email=html.escape(email)), subtype="html")
    return mail


def _template(suffix: str) -> Template:
    folder = files("docmill_janitor") / "templates"
    return Template((folder / f"welcome.{suffix}").read_text(encoding="utf-8"))
