"""Fixtures: an api in this process, on the module's database and a Redis database of its own."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import sqlalchemy

from docmill_api.resources import Resources
from docmill_shared import job_schedule
from docmill_shared.job_schedule import Published
from tests.integration.api.driver import Account, Api, settings_from


@pytest.fixture(scope="module")
def api_environment(service_environment: dict[str, str]) -> dict[str, str]:
    """The service's environment, with messages of no other module in its Redis."""
    redis_url = service_environment["REDIS_URL"].rpartition("/")[0] + "/7"
    return {**service_environment, "REDIS_URL": redis_url, "EMBEDDING_PROVIDER": "local"}


@pytest.fixture(scope="module")
def api(api_environment: dict[str, str]) -> Iterator[Api]:
    """The api, shared by the tests of a module; they tell themselves apart by account."""
    resources = Resources.from_settings(settings_from(api_environment))
    resources.broker.client.flushdb()
    owner = sqlalchemy.create_engine(api_environment["DATABASE_URL"])
    yield Api(resources, owner)
    owner.dispose()
    resources.close()


@pytest.fixture
def account(api: Api) -> Account:
    """A new account."""
    return api.account()


@pytest.fixture
def admin(api: Api) -> Iterator[Account]:
    """An admin, and queues with nothing in them."""
    account = api.account("admin")
    # A registration may send messages of its own.
    api.resources.broker.client.flushdb()
    yield account
    api.resources.broker.client.flushdb()


@pytest.fixture
def job(api: Api) -> str:
    """A job of the schedule."""
    name = f"clean_{uuid4().hex[:8]}"
    now = datetime.now(UTC)
    with api.owner.begin() as connection:
        published = Published(name, "0 3 * * *", "Cleans.", now + timedelta(hours=1))
        job_schedule.publish(connection, [published], now)
    return name
