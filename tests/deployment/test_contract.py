"""Runs what compose and Kubernetes would run, on the embedded stack, and lives a day with it.

The images are built by the Dockerfiles' steps; command, environment, ports, probes and grace
periods are read from docker-compose.yml and from the rendered overlay. Only addresses, credentials
and port numbers are this machine's.
"""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Engine, create_engine, text

from docmill_client import Client
from docmill_dev.stack import Stack
from tests.conftest import api_login
from tests.deployment.conftest import Images
from tests.deployment.containers import SERVICES, Container, Probe, containers
from tests.deployment.running import Running
from tests.documents import picture, scanned_pdf

#: Whoever is first builds the images, and the others wait for it.
pytestmark = pytest.mark.timeout(1_200)

Eventually = Callable[..., None]
_PASSWORD = "a password of the tests"


@dataclass
class System:
    """All containers of one source."""

    described: dict[str, Container]
    images: Images
    servers: dict[str, str]
    folder: Path
    running: dict[str, Running]

    def run(self, name: str) -> Running:
        """Start one."""
        container = self.described[name]
        scratch = self.folder / f"{name}-{uuid4().hex[:6]}"
        image = self.images(container.service)
        if name in self.running:
            self.running[name].child.kill()
        self.running[name] = Running(container, image, self.servers, scratch)
        return self.running[name]

    def run_to_its_end(self, name: str) -> Running:
        """Start one that does one thing."""
        container = self.run(name)
        assert container.child.wait(180), container.said()
        assert container.child.exit_code() == 0, container.said()
        return container

    def kill(self) -> None:
        """End all at once; whatever a test left."""
        for each in self.running.values():
            each.child.kill()

    @property
    def api(self) -> Running:
        return self.running["api"]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.api.ports[8000]}"


def is_well(container: Running) -> bool:
    """By Kubernetes' probes, or by the HEALTHCHECK where there are none."""
    probes = container.container.probes
    if probes:
        return all(container.answers(probe) for probe in probes.values())
    return container.is_healthy()


def ready(container: Running) -> Probe:
    """Where this container tells whether it takes work."""
    return Probe("/readyz", 8000 if container.container.name == "api" else 9100)


@pytest.fixture(scope="module", params=["compose", "production"])
def system(
    request: pytest.FixtureRequest,
    images: Images,
    stack: Stack,
    tmp_path_factory: pytest.TempPathFactory,
    operators_secrets: dict[str, str],
) -> Iterator[System]:
    """Migrated and started, in the order that the source asks for, on a database of its own."""
    servers = stack.environment()
    servers["S3_PUBLIC_ENDPOINT"] = servers["S3_ENDPOINT"]
    servers["DATABASE_URL"] = stack.create_database(f"test_{uuid4().hex[:12]}")
    servers["API_DATABASE_URL"] = api_login(servers["DATABASE_URL"], servers)
    described = containers(request.param, operators_secrets)
    folder = tmp_path_factory.mktemp(request.param)
    with ExitStack() as cleanup:
        system = System(described, images, servers, folder, {})
        cleanup.callback(system.kill)
        for name in ("bucket", "migrate"):
            if name in described:
                system.run_to_its_end(name)
        for name in SERVICES:
            system.run(name)
        yield system


@pytest.fixture(autouse=True)
def everything_is_ready(system: System, eventually: Eventually) -> None:
    """Each test begins with four containers that are well; one that has ended starts again."""
    for name in SERVICES:
        if system.running[name].child.exit_code() is not None:
            system.run(name)
    for name in SERVICES:
        container = system.running[name]
        eventually(
            lambda container=container: (
                (is_well(container) and container.answers(ready(container)))
                or container.child.exit_code() is not None
            ),
            timeout=180,
            what=f"{name} is ready",
        )
        assert container.child.exit_code() is None, container.said()


@pytest.fixture
def client(system: System) -> Iterator[Client]:
    """A fresh account at the api that runs."""
    email = f"{uuid4().hex}@example.org"
    with Client(system.url, email=email, password=_PASSWORD) as client:
        client.register()
        yield client


@pytest.fixture
def engine(system: System) -> Iterator[Engine]:
    """An engine on the system's database."""
    engine = create_engine(system.servers["DATABASE_URL"])
    yield engine
    engine.dispose()


def status_of(engine: Engine, file_id: str) -> str:
    with engine.connect() as connection:
        query = text("select status from files where id = :id")
        return str(connection.execute(query, {"id": file_id}).scalar_one())


def scan(folder: Path, pages: int) -> Path:
    """A file whose every page is read by OCR."""
    path = folder / f"{uuid4().hex}.pdf"
    pictures = [picture(f"Page {number} of {path.stem[:8]}") for number in range(pages)]
    path.write_bytes(scanned_pdf(*pictures))
    return path


def is_waiting(engine: Engine, table: str, login: str) -> int:
    """How many statements of this login wait for somebody to let go of the table."""
    query = (
        "select count(*) from pg_locks join pg_stat_activity using (pid)"
        " where relation = to_regclass(:table) and not granted and usename = :login"
    )
    with engine.connect() as connection:
        return int(connection.execute(text(query), {"table": table, "login": login}).scalar_one())


def notices_the_queue(api: Running) -> bool:
    """Whether the api says that the queue is away and calls itself ready all the same."""
    status, body = api.answer("/readyz", 8000)
    return status == 200 and json.loads(body)["dependencies"]["queue"] != "ok"


def test_a_file_becomes_passages(system: System, client: Client, tmp_path: Path) -> None:
    path = tmp_path / "notes.md"
    path.write_text("# Batteries\n\nWithout sun, a full battery lasts ten days.\n")

    file = client.upload(path, timeout=120)

    assert file.status == "COMPLETED"
    assert client.search("how long does the battery last").passages


def test_metrics_and_liveness_are_on_the_health_port_of_all(system: System) -> None:
    for name in SERVICES:
        container = system.running[name]
        assert container.status("/livez", 9100) == 200, name
        assert container.status("/metrics", 9100) == 200, name
    assert system.api.status("/metrics", 8000) == 404


def test_without_postgres_the_api_is_unready_and_nobody_is_restarted(
    system: System, stack: Stack, eventually: Eventually
) -> None:
    stack.postgres.stop()
    try:
        eventually(
            lambda: system.api.status("/readyz", 8000) == 503, timeout=60, what="the api is unready"
        )
        for name in SERVICES:
            container = system.running[name]
            live = container.container.probes.get("liveness", Probe("/livez", 9100))
            assert container.answers(live), name
    finally:
        stack.postgres.start()

    eventually(lambda: system.api.status("/readyz", 8000) == 200, what="the api is ready again")


def test_without_valkey_nobody_is_restarted(
    system: System, stack: Stack, eventually: Eventually
) -> None:
    stack.valkey.stop()
    try:
        eventually(lambda: notices_the_queue(system.api), what="the api notices, and is ready")
        for name in SERVICES:
            container = system.running[name]
            live = container.container.probes.get("liveness", Probe("/livez", 9100))
            assert container.answers(live), name
            assert name == "api" or container.answers(ready(container)), name
    finally:
        stack.valkey.start()


def test_a_worker_that_is_told_to_end_loses_nothing(
    system: System, client: Client, engine: Engine, eventually: Eventually, tmp_path: Path
) -> None:
    # Given a worker with a file in hand, of which it cannot store the passages
    with engine.connect() as lock:
        lock.execute(text("lock table chunks in share mode"))
        uploaded = client.upload(scan(tmp_path, pages=2), wait=False)

        def is_in_hand() -> bool:
            is_claimed = status_of(engine, uploaded.id) == "PROCESSING"
            return is_claimed and is_waiting(engine, "chunks", "docmill") > 0

        eventually(is_in_hand, timeout=120, what="it is in work")
        ingest = system.running["ingest"]

        # When its pod is told to end
        ingest.child.send(15)

        # Then it takes no more, says so while it works on, and ends in time and in order
        eventually(lambda: ingest.status("/readyz", 9100) == 503, what="the worker is unready")
        assert ingest.status("/livez", 9100) == 200
        lock.rollback()
    assert ingest.child.wait(ingest.container.grace_seconds), ingest.said()
    assert ingest.child.exit_code() == 0, ingest.said()

    # And the file is done or waits for another worker, which does it
    assert status_of(engine, uploaded.id) in ("COMPLETED", "QUEUED")
    again = system.run("ingest")
    eventually(lambda: is_well(again), timeout=180, what="another worker is ready")
    file = client.wait([uploaded.id], timeout=180)[uploaded.id]
    assert file.status == "COMPLETED"


def test_an_api_that_is_told_to_end_answers_what_is_open(
    system: System, client: Client, engine: Engine, eventually: Eventually
) -> None:
    api = system.api
    with ThreadPoolExecutor(3) as pool, engine.connect() as lock:
        # Given requests that wait for the database
        lock.execute(text("lock table files in access exclusive mode"))
        asked = [pool.submit(client.search, "anything") for _ in range(3)]
        try:
            # Those of the api: workers wait for that table as well.
            eventually(
                lambda: is_waiting(engine, "files", "docmill_api") >= 3,
                timeout=25,
                what="they are in hand",
            )

            # When the pod is told to end
            api.child.send(15)

            # Then it is unready and takes nobody in, while it lives and works on
            eventually(lambda: api.status("/readyz", 9100) == 503, what="the api is unready")
            eventually(lambda: api.status("/healthz", 8000) == 0, what="its port is closed")
            assert api.status("/livez", 9100) == 200
            assert not any(each.done() for each in asked)
        finally:
            lock.rollback()

        # And every open request gets its answer before the process ends, in time and in order
        for each in asked:
            assert each.result(timeout=30).passages == []
    assert api.child.wait(api.container.grace_seconds), api.said()
    assert api.child.exit_code() == 0, api.said()


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_that_is_told_to_end_does_so_in_order(system: System, name: str) -> None:
    container = system.running[name]

    container.child.send(15)

    assert container.child.wait(container.container.grace_seconds), container.said()
    assert container.child.exit_code() == 0, container.said()
