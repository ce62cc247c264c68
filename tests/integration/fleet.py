"""The four processes of docmill as production runs them, each with its health endpoint."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import urllib3
from prometheus_client.parser import text_string_to_metric_families

from docmill_dev.ports import free_port
from docmill_dev.processes import Process, Processes

_PYTHON = (sys.executable, "-m")
_WORKER = ("--processes", "1", "--threads", "2")
COMMANDS = {
    "api": (*_PYTHON, "gunicorn", "-c", "python:docmill_api.gunicorn_config"),
    "ingest": (*_PYTHON, "docmill_ingest", *_WORKER),
    "scheduler": (*_PYTHON, "docmill_janitor.scheduler"),
    "janitor": (*_PYTHON, "docmill_janitor", *_WORKER),
}
#: Not redirected, not retried: one request is one request.
http = urllib3.PoolManager(retries=False, maxsize=20)


@dataclass
class Fleet:
    """Processes by the names of :data:`COMMANDS`."""

    processes: Processes
    environment: dict[str, str]
    api_port: int = field(default_factory=free_port)
    health_ports: dict[str, int] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Where the api is."""
        return f"http://127.0.0.1:{self.api_port}"

    def start(self, *names: str, **changes: str) -> None:
        """Start these with a port each; return once they are ready."""
        for name in names:
            port = self.health_ports[name] = free_port()
            environment = {
                **self.environment,
                "API_PORT": str(self.api_port),
                "HEALTH_PORT": str(port),
                **changes,
            }
            ready = f"http://127.0.0.1:{port}/readyz"
            self.processes.start(name, COMMANDS[name], env=environment, ready_url=ready)
        self.processes.wait_ready()

    def __getitem__(self, name: str) -> Process:
        return self.processes[name]

    def get(self, name: str, path: str) -> tuple[int, str]:
        """What a process's endpoint answers; status 0 when it does not."""
        return answer_of(self.health_ports[name], path)

    def call(
        self, method: str, path: str, body: object = None, token: str = "", **headers: str
    ) -> Any:
        """One request to the api."""
        if token:
            headers["Authorization"] = f"Bearer {token}"
        # On a connection of its own: one that was kept may be closed in the moment of its next use.
        headers.setdefault("Connection", "close")
        return http.request(method, self.url + path, json=body, headers=headers, timeout=60)

    def scrape(self, name: str) -> "Scrape":
        """A process's metrics."""
        status, text = self.get(name, "/metrics")
        assert status == 200, text
        return Scrape(text)


class Scrape:
    """One scrape, parsed."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.families = {each.name: each for each in text_string_to_metric_families(text)}

    def value(self, sample: str, **labels: str) -> float:
        """The sum of this sample over all series with these labels; 0 when there is none."""
        return sum(
            each.value
            for family in self.families.values()
            for each in family.samples
            if each.name == sample and labels.items() <= each.labels.items()
        )

    def types(self) -> dict[str, str]:
        """The type of each metric of docmill's own by the name that its documentation has."""
        return {
            family.name + ("_total" if family.type == "counter" else ""): family.type
            for family in self.families.values()
            if family.name.startswith("docmill_")
        }


def answer_of(port: int, path: str, method: str = "GET") -> tuple[int, str]:
    """Status and text of an answer; status 0 when there is none."""
    try:
        answer = http.request(method, f"http://127.0.0.1:{port}{path}", timeout=30)
    except urllib3.exceptions.HTTPError:
        return 0, ""
    return answer.status, answer.data.decode()


@contextmanager
def fleet(environment: dict[str, str], logs: Path) -> Iterator[Fleet]:
    """No process yet; all are stopped at the end."""
    with Processes(log_directory=logs) as processes:
        yield Fleet(processes, environment)


@dataclass
class Caller:
    """An account that speaks to a fleet's api over HTTP."""

    fleet: Fleet
    email: str
    password: str = "correct horse battery staple"
    tokens: dict[str, str] = field(default_factory=dict)
    #: Signed URLs that the api handed out.
    signed: list[str] = field(default_factory=list)

    def register(self) -> "Caller":
        """A new account, logged in."""
        credentials = {"email": self.email, "password": self.password}
        assert self.fleet.call("POST", "/v1/auth/register", credentials).status == 201
        self.tokens = self.fleet.call("POST", "/v1/auth/login", credentials).json()
        return self

    def call(self, method: str, path: str, body: object = None, **headers: str) -> Any:
        return self.fleet.call(method, path, body, self.tokens["access_token"], **headers)

    def upload(self, content: bytes, name: str, *, bulk: bool = False, request_id: str = "") -> str:
        """Reserve, PUT and confirm; the file's id."""
        headers = {"X-Request-ID": request_id}
        body = {"name": name, "size_bytes": len(content), "bulk": bulk}
        reserved = self.call("POST", "/v1/files", body, **headers).json()
        upload = reserved["upload"]
        self.signed.append(upload["url"])
        sent = {**upload["headers"], "Connection": "close"}
        put = http.request("PUT", upload["url"], body=content, headers=sent)
        assert put.status == 200, put.data
        file_id = str(reserved["file"]["id"])
        assert self.call("POST", f"/v1/files/{file_id}/confirm", **headers).status == 202
        return file_id

    def file(self, file_id: str) -> dict[str, Any]:
        """The file as the api shows it."""
        answer: dict[str, Any] = self.call("GET", f"/v1/files/{file_id}").json()
        return answer

    def ended(self, file_id: str) -> bool:
        """Whether nothing more happens to the file."""
        return self.file(file_id)["status"] in {"COMPLETED", "FAILED", "DUPLICATE"}


def wait(condition: Callable[[], object], what: str) -> None:
    """Until it holds, for two minutes; for fixtures of a module, which have no ``eventually``."""
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
