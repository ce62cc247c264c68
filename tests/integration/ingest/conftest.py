"""The ingest worker's resources on the real servers, and an owner who uploads."""

from collections.abc import Callable, Iterator
from unittest import mock

import pytest
import redis

from docmill_ingest import resources as composition
from docmill_ingest.resources import Resources
from docmill_ingest.settings import IngestSettings
from tests.fakes.gemini_emulator import GeminiEmulator
from tests.owners import Owner, new_owner

Build = Callable[..., Resources]


@pytest.fixture
def build(service_environment: dict[str, str]) -> Iterator[Build]:
    """``build(**variables)``: resources with these settings, closed after the test."""
    built = []
    # The provider's quota is shared by all workers, and so by all tests.
    redis.Redis.from_url(service_environment["REDIS_URL"]).flushdb()

    def build_resources(**variables: str) -> Resources:
        with mock.patch.dict("os.environ", {**service_environment, **variables}, clear=True):
            resources = composition.build(IngestSettings.load())
        built.append(resources)
        return resources

    yield build_resources
    for resources in built:
        resources.close()


@pytest.fixture
def resources(build: Build) -> Resources:
    """Resources with the local provider."""
    return build()


@pytest.fixture
def emulator() -> Iterator[GeminiEmulator]:
    """A Gemini that can be made to fail."""
    with GeminiEmulator() as running:
        yield running


@pytest.fixture
def gemini(build: Build, emulator: GeminiEmulator) -> Resources:
    """Resources whose provider is the emulator, by the real SDK."""
    return build(GEMINI_API_KEY=emulator.api_key, GEMINI_BASE_URL=emulator.base_url)


@pytest.fixture
def owner(resources: Resources) -> Owner:
    """A user with nothing yet."""
    return new_owner(resources.engine, resources.objects)


@pytest.fixture
def other_owner(resources: Resources) -> Owner:
    """Somebody else."""
    return new_owner(resources.engine, resources.objects)
