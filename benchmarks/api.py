"""One api under load: ``python -m benchmarks.api``.

The real gunicorn with its default of two processes, real Postgres, Valkey and S3, and clients in a
process of their own, all on the same machine, so the cores are shared by everything named. Prints
requests a second and latencies of reserving, confirming and listing, and how the memory of the api
goes over all requests; ends with 1 if it grows without end.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import sqlalchemy
from rich.console import Console
from rich.table import Table

from docmill_dev.ports import free_port
from docmill_dev.processes import Process, Processes
from docmill_dev.stack import Stack
from docmill_shared import migrate
from tests.conftest import SECRET, WEBHOOK_KEY, without_docmill

_ACCOUNTS = 40
_PASSWORD = "correct horse battery"  # noqa: S105 - of accounts that live as long as this run
#: Between the first tenth of all requests and the last: what a process may have grown by. A leak of
#: a kilobyte a request would be 45 MB.
_GROWTH_BYTES = 12 * 1024**2


def main() -> int:
    """Run it; 0 if memory stays within its bound."""
    parser = argparse.ArgumentParser(prog="make bench-api")
    parser.add_argument("--requests", type=int, default=50_000)
    parser.add_argument("--clients", type=int, default=8)
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="docmill-api-") as directory,
        Stack(Path(directory), environ={}) as stack,
        Processes(log_directory=Path(directory) / "logs") as processes,
    ):
        environment, port = _environment(stack)
        engine = sqlalchemy.create_engine(environment["DATABASE_URL"])
        migrate.upgrade(engine)
        engine.dispose()
        argv = (sys.executable, "-m", "gunicorn", "-c", "python:docmill_api.gunicorn_config")
        api = processes.start("api", argv, env=environment)
        _wait_until_ready(port)
        tokens = [_token(port, number) for number in range(_ACCOUNTS)]
        # A fifth of the requests upload: each is a reservation and a confirmation.
        uploads, lists = arguments.requests // 10, arguments.requests * 8 // 10
        parts = [("upload", uploads // 5), ("list", lists // 5)] * 5
        runs: dict[str, list[dict[str, Any]]] = {"upload": [], "list": []}
        memory = [_memory(api)]
        console = Console()
        with console.status("warming up"):
            for what in runs:
                _load(port, tokens, what, 200, arguments.clients)
        for place, (what, times) in enumerate(parts, 1):
            with console.status(f"part {place} of {len(parts)}"):
                runs[what].append(_load(port, tokens, what, times, arguments.clients))
            memory.append(_memory(api))
    _report(console, runs, arguments.clients)
    return _report_memory(console, memory)


def _environment(stack: Stack) -> tuple[dict[str, str], int]:
    port = free_port()
    return {
        **without_docmill(os.environ),
        **stack.environment(),
        "JWT_SECRET": SECRET,
        "WEBHOOK_KEY": WEBHOOK_KEY,
        "API_PORT": str(port),
        "LOG_LEVEL": "WARNING",
        "EMBEDDING_PROVIDER": "local",
        "RATE_LIMITS": "false",
        "OWNER_MAX_FILES": "1000000",
    }, port


def _wait_until_ready(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("the api did not become ready")


def _token(port: int, number: int) -> str:
    credentials = {"email": f"load-{number}@example.org", "password": _PASSWORD}
    for path in ("register", "login"):
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/auth/{path}",
            json.dumps(credentials).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - an http URL
            body = json.load(answer)
    return str(body["access_token"])


def _load(port: int, tokens: list[str], what: str, times: int, clients: int) -> dict[str, Any]:
    asked = {
        "host": "127.0.0.1",
        "port": port,
        "tokens": tokens,
        "what": what,
        "times": times,
        "clients": clients,
    }
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.api_load"],
        input=json.dumps(asked),
        stdout=subprocess.PIPE,  # what it says of errors goes to the terminal
        text=True,
        check=True,
        timeout=900,
    )
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


def _memory(api: Process) -> int:
    """What the api's processes hold for themselves, in bytes."""
    master = psutil.Process(api.pid)
    return sum(each.memory_full_info().uss for each in [master, *master.children()])


def _report(console: Console, runs: dict[str, list[dict[str, Any]]], clients: int) -> None:
    table = Table(title=f"{clients} clients at once, everything on this machine")
    for name in ("request", "count", "requests/s", "p50 ms", "p95 ms", "p99 ms"):
        table.add_column(name, justify="left" if name == "request" else "right")
    for kind, parts in (
        ("reserve", runs["upload"]),
        ("confirm", runs["upload"]),
        ("list", runs["list"]),
    ):
        seconds = sorted(one for part in parts for one in part["seconds"][kind])
        rate = len(seconds) / sum(part["took"] for part in parts)
        places = (seconds[int(len(seconds) * part)] * 1_000 for part in (0.50, 0.95, 0.99))
        table.add_row(kind, str(len(seconds)), f"{rate:.0f}", *(f"{each:.1f}" for each in places))
    console.print(table)
    console.print("Reserving and confirming share their time with the uploads between them.")


def _report_memory(console: Console, memory: list[int]) -> int:
    shown = ", ".join(f"{each / 1024**2:.0f}" for each in memory)
    console.print(f"Memory of the api before and after each part, MB: {shown}")
    # The first parts fill pools and caches; what counts is whether it goes on.
    growth = memory[-1] - memory[2]
    bound = _GROWTH_BYTES
    console.print(f"Growth after the first two: {growth / 1024**2:.1f} MB of {bound / 1024**2:.0f}")
    return 0 if growth <= bound else 1


if __name__ == "__main__":
    sys.exit(main())
