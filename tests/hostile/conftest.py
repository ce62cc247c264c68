"""Workers' resources with tightened limits; extraction children stay warm from test to test."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
    "EXTRACTION_MEMORY_BYTES": str(300 * 1024**2),
    "EXTRACTION_PAGES": "30000",
    "EXTRACTION_SCANNED_PAGES": "3",
    "EXTRACTION_SCANNED_PAGE_SECONDS": "20",
    "EXTRACTION_CHARACTERS": "2000000",
    "EXTRACTION_UNPACKED_BYTES": str(64 * 1024**2),
}
#: For a file that ends by itself, however slow the machine is, and for one that may outlast it.
_PATIENT_SECONDS, _HASTY_SECONDS = "90", "6"


@pytest.fixture(scope="module")
def work_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the worker writes, and nothing else does."""
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def resources(service_environment: dict[str, str], work_directory: Path) -> Iterator[Resources]:
    """What a worker process has, here; when it is closed no process of it is left."""
    with _worker(service_environment, work_directory, _PATIENT_SECONDS) as built:
        yield built
    assert extraction_children() == set()


@pytest.fixture(scope="module")
def hasty(
    resources: Resources,
    service_environment: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Resources]:
    """Another worker, which waits for no file for long."""
    folder = tmp_path_factory.mktemp("hasty")
    with _worker(service_environment, folder, _HASTY_SECONDS) as built:
        yield built
    assert extraction_children() <= {resources.extractor.child_pid}


@contextmanager
def _worker(environment: Mapping[str, str], folder: Path, seconds: str) -> Iterator[Resources]:
    own = {"WORK_DIRECTORY": str(folder), "EXTRACTION_SECONDS": seconds}
    with mock.patch.dict("os.environ", {**environment, **_LIMITS, **own}, clear=True):
        built = composition.build(IngestSettings.load())
    built.warm_up()
    yield built
    built.close()
    assert list(folder.iterdir()) == []


@pytest.fixture(scope="module")
def owner(resources: Resources) -> Owner:
    """Whose files they are."""
    return new_owner(resources.engine, resources.objects)
