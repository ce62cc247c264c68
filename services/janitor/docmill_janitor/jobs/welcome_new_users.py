"""Send the message of new users whose welcome mail did not go out: it was lost, or never sent."""

from datetime import datetime

from docmill_janitor.resources import Resources
from docmill_janitor.swept import Swept
from docmill_shared import welcomes
from docmill_shared.broker import depth, send
from docmill_shared.messages import MAIL_QUEUE, WelcomeUser

#: With this many messages waiting, the mail server is the bottleneck and more would not help.
QUEUE_CAP = 100


def run(resources: Resources, *, now: datetime, limit: int, dry_run: bool = False) -> Swept:
    """Send up to ``limit`` messages; whoever has had the mail gets no second one from it.

    Without a mail server it does nothing, and accounts older than a day are not welcomed when
    there is one at last.

    Raises:
        QueueUnavailable: nothing is lost; the next run sends the same.
    """
    if resources.mailer is None:
        return Swept(refused="SMTP_HOST is not set, so no mail is sent.")
    room = min(limit, QUEUE_CAP - depth(resources.broker, MAIL_QUEUE))
    if room <= 0:
        return Swept({"sent": 0})
    with resources.sweeping(dry_run=dry_run) as connection:
        users = welcomes.unwelcomed(connection, now=now, limit=room)
    if dry_run:
        return Swept(
            {"sent": len(users)},
            findings=tuple(f"send a welcome mail to user {user_id}" for user_id in users),
        )
    for user_id in users:
        send(resources.broker, WelcomeUser(user_id=str(user_id)))
    # Not ``more``: they are not claimed yet, and would all be found again.
    return Swept({"sent": len(users)})
