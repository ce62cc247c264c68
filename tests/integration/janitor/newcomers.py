"""New users, the mail server that they are welcomed by, and the worker that does it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import dramatiq
from sqlalchemy import Engine, Row, func, insert, select, update

from docmill_janitor import actors
from docmill_janitor.resources import Resources
from docmill_shared.messages import WelcomeUser
from docmill_shared.schema import User
from tests.fakes.mail_server import MailServer


def welcome_everybody(engine: Engine) -> None:
    """So that users of earlier tests are none of the next one's."""
    with engine.begin() as connection:
        connection.execute(
            update(User).where(User.welcomed_at.is_(None)).values(welcomed_at=func.now())
        )


def mail_variables(server: MailServer) -> dict[str, str]:
    return {
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(server.port),
        "SMTP_SECURITY": "none",
        "MAIL_FROM": "docmill <docmill@example.com>",
    }


def new_user(engine: Engine, email: str | None = None, **values: object) -> UUID:
    user_id = uuid4()
    row = {"id": user_id, "email": email or f"{user_id}@example.org", "password_hash": "-"}
    with engine.begin() as connection:
        connection.execute(insert(User).values(**row, **values))
    return user_id


def user(engine: Engine, user_id: UUID) -> Row[Any]:
    with engine.connect() as connection:
        return connection.execute(select(*User.__table__.columns).where(User.id == user_id)).one()


def age(engine: Engine, user_id: UUID, by: timedelta) -> None:
    """Let this much time pass for one user."""
    with engine.begin() as connection:
        connection.execute(
            update(User)
            .where(User.id == user_id)
            .values(
                created_at=User.created_at - by, welcome_claimed_at=User.welcome_claimed_at - by
            )
        )


@contextmanager
def working(resources: Resources, **options: object) -> Iterator[None]:
    """A janitor's worker in this process; ``options`` are the actor's, such as its backoff."""
    actors.declare(resources.broker, resources, ())
    resources.broker.get_actor(WelcomeUser.actor).options.update(options)
    worker = dramatiq.Worker(resources.broker, worker_threads=4)
    worker.start()
    try:
        yield
    finally:
        worker.stop()
