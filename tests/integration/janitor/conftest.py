"""The janitor's resources on the real servers."""

from collections.abc import Callable, Iterator
from typing import cast
from unittest import mock

import pytest
from sqlalchemy import delete

from docmill_janitor import resources as composition
from docmill_janitor.resources import Resources
from docmill_janitor.settings import JanitorSettings
from docmill_shared.messages import INGEST_QUEUE
from docmill_shared.schema import Webhook
from tests.fakes.mail_server import MailServer
from tests.fakes.webhook_receiver import WebhookReceiver
from tests.owners import Owner, new_owner

Build = Callable[..., Resources]


@pytest.fixture
def build(service_environment: dict[str, str]) -> Iterator[Build]:
    """``build(**variables)``: resources with these settings; queues are emptied around a test."""
    built: list[Resources] = []

    def build_resources(**variables: str) -> Resources:
        with mock.patch.dict("os.environ", {**service_environment, **variables}, clear=True):
            resources = composition.build(JanitorSettings.load())
        resources.broker.client.flushdb()
        built.append(resources)
        return resources

    yield build_resources
    for resources in built:
        resources.broker.client.flushdb()
        resources.engine.dispose()


@pytest.fixture
def resources(build: Build) -> Resources:
    """Resources with the default settings."""
    return build()


@pytest.fixture
def owner(resources: Resources) -> Owner:
    """A user with nothing yet."""
    return new_owner(resources.engine, resources.objects)


@pytest.fixture
def no_webhooks(resources: Resources) -> None:
    """No webhooks of other tests, with what they left."""
    with resources.engine.begin() as connection:
        connection.execute(delete(Webhook))


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    """A target that takes what it is sent, and can be told to answer otherwise."""
    with WebhookReceiver() as receiver:
        yield receiver


@pytest.fixture
def server() -> Iterator[MailServer]:
    """A mail server that can be told to misbehave."""
    server = MailServer()
    server.start()
    yield server
    server.gate.set()
    server.stop()


def sent_file_ids(resources: Resources, queue: str = INGEST_QUEUE) -> list[str]:
    """The files for which a message waits, in the order of the queue."""
    from dramatiq import Message

    client = resources.broker.client
    messages = cast("dict[bytes, bytes]", client.hgetall(f"dramatiq:{queue}.msgs"))
    order = cast("list[bytes]", client.lrange(f"dramatiq:{queue}", 0, -1))
    return [
        str(Message.decode(messages[each]).kwargs["file_id"]) for each in order if each in messages
    ]
