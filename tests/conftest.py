"""Fixtures: the real servers, a fresh database for each module, and ways to wait."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from uuid import uuid4

import pytest
import redis
import sqlalchemy
from sqlalchemy import Engine, make_url, text

from docmill_dev.stack import Stack
from docmill_shared import migrate
from docmill_shared.states import TRANSITIONS

_STEPS = ", ".join(
    f"('{source}', '{target}')" for source, targets in TRANSITIONS.items() for target in targets
)
#: Whatever a test does to a file, by whatever process: a step that is not drawn is an error.
ONLY_LEGAL_STEPS = f"""
create function only_legal_steps() returns trigger language plpgsql as $$ begin
  if old.status <> new.status and (old.status, new.status) not in ({_STEPS}) then
    raise exception 'illegal step of a file: % to %', old.status, new.status;
  end if;
  return new;
end $$;
create trigger only_legal_steps before update on files
  for each row execute function only_legal_steps();
"""

SECRET = "a secret of the tests that is long enough"
WEBHOOK_KEY = "another secret of the tests, for their webhooks"


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Names a document by its argument, not by its bytes: they may hold the time of day, and
    the test processes must agree on every test's name."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """One embedded stack for this test process; durability is not what these tests are about."""
    with (
        tempfile.TemporaryDirectory(prefix="docmill-test-") as directory,
        Stack(Path(directory), environ={}, postgres_settings={"fsync": "off"}) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def database_url(stack: Stack) -> str:
    """A fresh, migrated database, for one module."""
    url = stack.create_database(f"test_{uuid4().hex[:12]}")
    engine = sqlalchemy.create_engine(url)
    migrate.upgrade(engine)
    with engine.begin() as connection:
        connection.execute(text(ONLY_LEGAL_STEPS))
    engine.dispose()
    return url


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine on the module's database."""
    engine = sqlalchemy.create_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def redis_url(stack: Stack) -> str:
    """A Redis in which nothing is left of another module: no message, no worker that has died."""
    url = stack.environment()["REDIS_URL"]
    with redis.Redis.from_url(url) as client:
        client.flushall()
    return url


@pytest.fixture(scope="module")
def service_environment(stack: Stack, database_url: str, redis_url: str) -> dict[str, str]:
    """The environment of a service process: the module's database, and an empty Redis."""
    environment = stack.environment()
    return {
        **without_docmill(os.environ),
        **environment,
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "API_DATABASE_URL": api_login(database_url, environment),
        "JWT_SECRET": SECRET,
        # The tests of a module are one address, and some are one account.
        "RATE_LIMITS": "false",
        "WEBHOOK_KEY": WEBHOOK_KEY,
        "LOG_FORMAT": "console",
        "NO_COLOR": "1",
    }


def api_login(database_url: str, environment: Mapping[str, str]) -> str:
    """The api's login to this database, given those of the stack."""
    login = make_url(environment["API_DATABASE_URL"])
    return login.set(database=make_url(database_url).database).render_as_string(hide_password=False)


@pytest.fixture
def eventually() -> Callable[..., None]:
    """Wait until a condition holds: ``eventually(lambda: ..., timeout=10)``."""

    def wait(condition: Callable[[], object], *, timeout: float = 60.0, what: str = "") -> None:
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {timeout} s: {what or condition}")
            time.sleep(0.02)

    return wait


def without_docmill(environ: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment without any setting of docmill's."""
    from tests.settings_fields import variables

    return {name: value for name, value in environ.items() if name not in variables()}
