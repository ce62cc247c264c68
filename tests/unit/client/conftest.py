"""A client and the server that is told what to answer it."""

from collections.abc import Iterator

import pytest

from docmill_client import Client, events, waiting
from docmill_client.retries import Retries
from tests.fakes.stub_api import StubApi, stub_api

QUICK = Retries(first_pause=0.0)


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[StubApi]:
    for module in (waiting, events):
        monkeypatch.setattr(module, "sleep", lambda seconds: None)
    with stub_api() as server:
        yield server


@pytest.fixture
def client(stub: StubApi) -> Iterator[Client]:
    with Client(stub.url, email="ada@example.org", password="hers", retries=QUICK) as made:
        yield made
