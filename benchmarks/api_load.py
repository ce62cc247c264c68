"""The clients of ``benchmarks.api``, in a process of their own: ``python -m benchmarks.api_load``.

Reads what to do as JSON from standard input and prints what it measured as JSON: for each kind of
request its seconds, in the order in which they were answered.
"""

import http.client
import json
import sys
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import urlsplit

_CONTENT = b"A note of a few words, as small as files come.\n"


@dataclass
class Client:
    """One connection that is kept, for one account."""

    host: str
    port: int
    token: str
    seconds: dict[str, list[float]]
    connection: http.client.HTTPConnection = field(init=False)

    def __post_init__(self) -> None:
        self.connection = http.client.HTTPConnection(self.host, self.port, timeout=60)

    def call(self, kind: str, method: str, path: str, body: object = None) -> Any:
        """Send it, time it, and fail on any status but those of success."""
        headers = {"Authorization": f"Bearer {self.token}"}
        content = None
        if body is not None:
            content = json.dumps(body)
            headers["Content-Type"] = "application/json"
        started = time.perf_counter()
        self.connection.request(method, path, content, headers)
        answer = self.connection.getresponse()
        text = answer.read()
        self.seconds[kind].append(time.perf_counter() - started)
        if answer.status not in {200, 201, 202}:
            raise RuntimeError(f"{method} {path}: {answer.status} {text[:200]!r}")
        return json.loads(text)

    def upload(self, number: int) -> None:
        """Reserve, PUT (to the store, which is not what is measured), confirm."""
        asked = {"name": f"note-{number}.txt", "size_bytes": len(_CONTENT)}
        reserved = self.call("reserve", "POST", "/v1/files", asked)
        target = urlsplit(reserved["upload"]["url"])
        # One for each upload: the store closes those that wait for a few seconds.
        store = http.client.HTTPConnection(target.netloc, timeout=60)
        path = f"{target.path}?{target.query}"
        store.request("PUT", path, _CONTENT, reserved["upload"]["headers"])
        answer = store.getresponse()
        answer.read()
        store.close()
        if answer.status != 200:
            raise RuntimeError(f"the store answered {answer.status}")
        self.call("confirm", "POST", f"/v1/files/{reserved['file']['id']}/confirm")

    def list(self, number: int) -> None:
        """The first page."""
        self.call("list", "GET", "/v1/files?limit=20")


def main() -> int:
    """Do what standard input says."""
    asked = json.load(sys.stdin)
    seconds: dict[str, list[float]] = defaultdict(list)
    numbers, lock = count(), threading.Lock()

    def work(place: int) -> None:
        tokens = asked["tokens"]
        clients = [
            Client(asked["host"], asked["port"], token, seconds)
            for token in tokens[place :: asked["clients"]]
        ]
        while True:
            with lock:
                number = next(numbers)
            if number >= asked["times"]:
                return
            getattr(clients[number % len(clients)], asked["what"])(number)

    started = time.perf_counter()
    with ThreadPoolExecutor(asked["clients"]) as pool:
        for done in [pool.submit(work, place) for place in range(asked["clients"])]:
            done.result()
    json.dump({"took": time.perf_counter() - started, "seconds": seconds}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
