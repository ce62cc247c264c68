"""A process of this release that meets the previous schema ends, and says what to do."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy

from docmill_dev.ports import free_port
from docmill_dev.processes import Processes
from docmill_dev.stack import Stack
from docmill_shared import migrate
from tests.conftest import api_login
from tests.migration import releases

PYTHON = [sys.executable, "-m"]
WORKER = [*PYTHON, "dramatiq", "--processes", "1", "--threads", "1"]
COMMANDS = {
    "api": [*PYTHON, "gunicorn", "-c", "python:docmill_api.gunicorn_config"],
    "ingest": [*WORKER, "docmill_ingest.worker"],
    "janitor-worker": [*WORKER, "docmill_janitor.worker"],
    "janitor-scheduler": [*PYTHON, "docmill_janitor.scheduler"],
}
#: What they say once they work.
AT_WORK = ("ready for messages", "the schedule runs", "Listening at")


@pytest.fixture(scope="module")
def old_database(stack: Stack) -> str:
    """The URL of a database at the previous release's schema."""
    url = stack.create_database("test_refusal")
    engine = sqlalchemy.create_engine(url)
    migrate.upgrade(engine, releases.before_head())
    engine.dispose()
    return url


def sentence(service: str) -> str:
    """To the api's login an older schema may not even have given the right to see which it is."""
    found = f"The database schema is at {releases.before_head()}, this release needs "
    if service == "api" and releases.before_head() < "0004":
        found = (
            "The database gives docmill_api no rights: its schema is older than this release, "
            "which needs "
        )
    run = "Run: python -m docmill_shared.migrate"
    return f"docmill-{service} cannot start: {found}{releases.head()}. {run}"


@pytest.mark.parametrize("service", COMMANDS)
def test_it_does_not_start_on_the_previous_schema(
    service: str,
    old_database: str,
    service_environment: dict[str, str],
    tmp_path: Path,
    eventually: Callable[..., None],
) -> None:
    environment = {
        **service_environment,
        "DATABASE_URL": old_database,
        "API_DATABASE_URL": api_login(old_database, service_environment),
        "API_PORT": str(free_port()),
    }
    with Processes(log_directory=tmp_path) as processes:
        process = processes.start(service, COMMANDS[service], env=environment)

        def ended() -> bool:
            assert not any(line in process.log_tail() for line in AT_WORK), "it has started"
            return process.exit_code is not None

        eventually(ended)
        # Its last words may still be on their way to the log
        eventually(lambda: sentence(service) in process.log.read_text())
        said = process.log.read_text()
    assert "Traceback" not in said
    assert process.exit_code not in (None, 0)
