"""A worker's resources with tightened limits; its extraction child stays warm from test to test."""

from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from docmill_ingest import resources as composition
from docmill_ingest.resources import Resources
from docmill_ingest.settings import IngestSettings
from tests.hostile.children import extraction_children
from tests.owners import Owner, new_owner

#: Small enough that a file that uses all of it ends soon, large enough for what is harmless.
_LIMITS = {
    "EXTRACTION_SECONDS": "6",
    "EXTRACTION_MEMORY_BYTES": str(300 * 1024**2),
    "EXTRACTION_PAGES": "30000",
    "EXTRACTION_SCANNED_PAGES": "3",
    "EXTRACTION_SCANNED_PAGE_SECONDS": "20",
    "EXTRACTION_CHARACTERS": "2000000",
    "EXTRACTION_UNPACKED_BYTES": str(64 * 1024**2),
}


@pytest.fixture(scope="module")
def work_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the worker writes, and nothing else does."""
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def resources(service_environment: dict[str, str], work_directory: Path) -> Iterator[Resources]:
    """What a worker process has, here; when it is closed no process of it is left."""
    variables = {**service_environment, **_LIMITS, "WORK_DIRECTORY": str(work_directory)}
    with mock.patch.dict("os.environ", variables, clear=True):
        built = composition.build(IngestSettings.load())
    built.warm_up()
    yield built
    built.close()
    assert extraction_children() == set()
    assert list(work_directory.iterdir()) == []


@pytest.fixture(scope="module")
def owner(resources: Resources) -> Owner:
    """Whose files they are."""
    return new_owner(resources.engine, resources.objects)
