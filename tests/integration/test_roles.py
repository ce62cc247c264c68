"""``docmill grant``: a role, given directly in the database."""

from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Engine, insert, select
from typer.testing import CliRunner

from docmill_client import DocmillError, Unreachable
from docmill_dev import roles
from docmill_dev.cli import app
from docmill_dev.ports import free_port
from docmill_dev.session import NoSession
from docmill_dev.stack import Stack
from docmill_shared.schema import User


@pytest.fixture
def email(engine: Engine) -> str:
    """The address of a new account."""
    address = f"{uuid4().hex}@example.org"
    with engine.begin() as connection:
        connection.execute(insert(User).values(id=uuid4(), email=address, password_hash="-"))
    return address


def role_of(engine: Engine, email: str) -> str:
    with engine.connect() as connection:
        return connection.execute(select(User.role).where(User.email == email)).scalar_one()


@pytest.mark.parametrize("role", ["contributor", "admin", "user"])
def test_database_url_of_the_environment_counts(
    engine: Engine, database_url: str, email: str, role: str, tmp_path: Path
) -> None:
    environment = {"DATABASE_URL": database_url, "DOCMILL_DATA": str(tmp_path)}

    answer = CliRunner().invoke(app, ["grant", f" {email.upper()}", role], env=environment)

    assert answer.exit_code == 0, answer.output
    assert role_of(engine, email) == role


def test_an_unknown_role_is_wrong_usage(engine: Engine, database_url: str, email: str) -> None:
    answer = CliRunner().invoke(app, ["grant", email, "god"], env={"DATABASE_URL": database_url})

    assert answer.exit_code == 2
    assert role_of(engine, email) == "user"


def test_what_is_wrong_is_a_sentence(stack: Stack, database_url: str, tmp_path: Path) -> None:
    with pytest.raises(DocmillError, match=r"no account nobody@example\.org"):
        roles.grant(database_url, "nobody@example.org", "admin")
    with pytest.raises(Unreachable, match="cannot be reached"):
        roles.grant(f"postgresql://u:p@127.0.0.1:{free_port()}/x", "a@b", "admin")
    empty = stack.create_database(f"test_{uuid4().hex[:12]}")
    with pytest.raises(DocmillError, match="not one of docmill"):
        roles.grant(empty, "a@b", "admin")
    with pytest.raises(NoSession, match="not running here"):
        roles.database_url({}, tmp_path)
    with pytest.raises(NoSession, match="must start with postgresql://") as caught:
        roles.database_url({"DATABASE_URL": "mysql://u:secret@h/x"}, tmp_path)
    assert "secret" not in str(caught.value)
