"""A local server that speaks the Gemini API's REST protocol, and misbehaves on demand.

In a test: ``with GeminiEmulator() as emulator: build_embedder("gemini", api_key=emulator.api_key,
base_url=emulator.base_url)``. For other processes: ``python -m tests.fakes.gemini_emulator --port
N``; then ``POST /_control`` (the fields of :class:`Faults` in JSON; ``{"reset": true}`` forgets
faults and stats first, ``{"release_hung": true}`` lets hanging calls go) and ``GET /_stats``.
"""

import argparse
import json
import random
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.fakes import gemini_protocol as protocol
from tests.fakes.gemini_protocol import Refusal


@dataclass
class Faults:
    """What goes wrong, and how the model answers. ``*_next`` counts down; the rest stays."""

    latency_ms: float = 0.0
    fail_next: int = 0  #: this many calls answer ``fail_status``
    fail_status: int = 503
    fail_message: str = "The service is currently unavailable."
    fail_probability: float = 0.0  #: of ``fail_status``, from a generator seeded with ``fail_seed``
    fail_seed: int = 0
    retry_info_seconds: float | None = None  #: adds a google.rpc.RetryInfo to failures
    retry_after: str | None = None  #: adds the header to failures, seconds or a date
    quota_texts_per_minute: int | None = None
    fail_method: str = ""  #: calls of this method all answer ``fail_status``
    hang_method: str = ""  #: calls of this method hang as those of ``hang_next`` do
    hang_next: int = 0  #: calls without an answer until ``release_hung`` or the end
    drop_next: int = 0  #: answers cut in the middle; their texts count as paid for
    garbage_next: int = 0  #: answers of 200 with ``garbage`` for a body
    garbage: str = "<html>gateway</html>"
    dimensions: int | None = None  #: the length of vectors, whatever was asked for
    surplus: int = 0  #: vectors too many, or too few below 0
    zero_vectors: bool = False
    reject_containing: str | None = None  #: a text with this in it is a 400 that names its place
    answer: str | None = None  #: what generateContent says
    block_next: int = 0  #: generateContent refuses for SAFETY
    block_in: str = "prompt"  #: "prompt" (no candidate at all) or "candidate" (without parts)


@dataclass
class Stats:
    """What was asked. Texts count when they were embedded, so when they would be paid for."""

    calls: int = 0
    calls_by_method: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    texts: int = 0
    text_sha256: Counter[str] = field(default_factory=Counter)
    task_types: Counter[str] = field(default_factory=Counter)
    batch_sizes: list[int] = field(default_factory=list)
    images: int = 0
    generation: dict[str, Any] | None = None  #: the last body of generateContent
    in_flight: int = 0
    max_in_flight: int = 0


class GeminiEmulator:
    """The server with its controls; a context manager. Thread-safe; loopback, on a free port."""

    def __init__(self, port: int = 0, api_key: str = "emulator-key") -> None:
        self.api_key = api_key
        self.stopped = False
        self._lock = threading.Lock()
        self._unhang = threading.Event()
        self.reset()
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.emulator = self
        self.base_url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "GeminiEmulator":
        self._thread = threading.Thread(target=self.serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stopped = True  # Connections that clients keep open answer nothing from here on.
        self.release_hung()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def serve(self) -> None:
        """Answer until ``__exit__``, on the calling thread."""
        self._server.serve_forever(poll_interval=0.02)

    def control(self, **changes: Any) -> None:
        """Set fields of :class:`Faults`; an unknown name is a ``TypeError``."""
        unknown = changes.keys() - {each.name for each in fields(Faults)}
        if unknown:
            raise TypeError(f"unknown controls: {sorted(unknown)}")
        with self._lock:
            vars(self.faults).update(changes)
            if "fail_seed" in changes:
                self._random = random.Random(changes["fail_seed"])

    def reset(self) -> None:
        """Forget every fault and every statistic."""
        self.release_hung()
        with self._lock:
            self.faults, self._stats = Faults(), Stats()
            self._random = random.Random(0)
            self._spent: deque[tuple[float, int]] = deque()

    def release_hung(self) -> None:
        """Let hanging calls have their answer."""
        self._unhang.set()
        self._unhang = threading.Event()

    def stats(self) -> dict[str, Any]:
        """The fields of :class:`Stats` now, as JSON carries them."""
        with self._lock:
            snapshot: dict[str, Any] = json.loads(json.dumps(vars(self._stats)))
            return snapshot

    def answer(self, path: str, key: str | None, raw: bytes) -> tuple[bytes, bool]:
        """One API call: the body to send, and whether to cut it. Raises :class:`Refusal`."""
        unhang = self._unhang
        with self._flight(path.rpartition(":")[2]):
            model, method = protocol.route(path, key, self.api_key)
            if self.faults.latency_ms:
                time.sleep(self.faults.latency_ms / 1000)
            if self._take("hang_next") or method == self.faults.hang_method:
                unhang.wait()
            self._fail_on_demand(method)
            if self._take("garbage_next"):
                return self.faults.garbage.encode(), False
            body = protocol.parse(raw)
            embeds = method in protocol.EMBEDDING_METHODS
            answer = self._embed(model, method, body) if embeds else self._generate(body)
            return json.dumps(answer).encode(), self._take("drop_next")

    @contextmanager
    def _flight(self, method: str) -> Iterator[None]:
        """Count a call from its arrival to its answer, and the answer's status."""
        with self._lock:
            stats = self._stats
            stats.calls += 1
            stats.calls_by_method[method] += 1
            stats.in_flight += 1
            stats.max_in_flight = max(stats.max_in_flight, stats.in_flight)
        code = 200
        try:
            yield
        except Refusal as refusal:
            code = refusal.code
            raise
        finally:
            with self._lock:
                stats.in_flight -= 1
                stats.statuses[str(code)] += 1

    def _take(self, counter: str) -> bool:
        with self._lock:
            left: int = getattr(self.faults, counter)
            setattr(self.faults, counter, max(0, left - 1))
            return left > 0

    def _fail_on_demand(self, method: str) -> None:
        chosen = self._take("fail_next") or method == self.faults.fail_method
        faults = self.faults
        if faults.fail_probability:
            with self._lock:
                chosen = self._random.random() < faults.fail_probability or chosen
        if chosen:
            details = protocol.retry_info(faults.retry_info_seconds)
            raise Refusal(faults.fail_status, faults.fail_message, *details)

    def _embed(self, model: str, method: str, body: dict[str, Any]) -> dict[str, Any]:
        faults = self.faults
        requests = protocol.text_requests(model, method, body, faults.reject_containing)
        self._spend(len(requests))
        vectors = [
            protocol.embed(text, task, faults.dimensions or size) for text, task, size in requests
        ]
        with self._lock:
            self._stats.texts += len(requests)
            self._stats.text_sha256.update(protocol.text_hash(text) for text, _, _ in requests)
            self._stats.task_types.update(task for _, task, _ in requests)
            self._stats.batch_sizes.append(len(requests))
        if faults.zero_vectors:
            vectors = [[0.0] * len(vector) for vector in vectors]
        vectors = [*vectors, *vectors[:1] * faults.surplus][: len(requests) + faults.surplus]
        embeddings = [{"values": vector} for vector in vectors]
        batch = {"embeddings": embeddings}
        return {"embedding": embeddings[0]} if method == "embedContent" else batch

    def _spend(self, texts: int) -> None:
        with self._lock:
            quota, now = self.faults.quota_texts_per_minute, time.monotonic()
            while self._spent and self._spent[0][0] <= now - 60:
                self._spent.popleft()
            if quota is not None and sum(count for _, count in self._spent) + texts > quota:
                wait = self._spent[0][0] + 60 - now if self._spent else 60.0
                details = protocol.retry_info(round(wait, 3))
                raise Refusal(429, "You exceeded your current quota.", *details)
            self._spent.append((now, texts))

    def _generate(self, body: dict[str, Any]) -> dict[str, Any]:
        """What a model says: of images their hash, of a prompt its echo, or what it was told to.

        Asked for JSON, it echoes the prompt's last part wherever the schema has a string.
        """
        images = protocol.image_parts(body.get("contents"))
        schema = protocol.response_schema(body)
        with self._lock:
            self._stats.images += len(images)
            self._stats.generation = body
        if self._take("block_next"):
            return protocol.blocked(self.faults.block_in)
        if self.faults.answer is not None:
            return protocol.generated(self.faults.answer)
        if images:
            seen = protocol.text_hash(json.dumps(images))[:12]
            return protocol.generated(f"Text {seen}\n\nImage: {len(images)} of them.")
        texts = protocol.texts(body.get("contents"))
        if schema is not None:
            return protocol.generated(json.dumps(protocol.fitting(schema, f"Echo: {texts[-1]}")))
        return protocol.generated(" ".join(["Echo:", *texts]))


class _Server(ThreadingHTTPServer):
    request_queue_size = 256
    emulator: GeminiEmulator

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that gave up waiting is part of the tests.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # One write per answer: header and body apart cost 40 ms of Nagle's algorithm.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        if self.path == "/_stats":
            self._send(200, json.dumps(self.server.emulator.stats()).encode())
        else:
            self._send(404, b"{}")

    def do_POST(self) -> None:
        emulator = self.server.emulator
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/_control":
            self._control(raw)
            return
        try:
            body, cut = emulator.answer(self.path, self.headers.get("x-goog-api-key"), raw)
            code = 200
        except Refusal as refusal:
            body, cut, code = json.dumps(refusal.body).encode(), False, refusal.code
        if emulator.stopped:
            self.close_connection = True
            return
        self._send(code, body, cut=cut)

    def _control(self, raw: bytes) -> None:
        try:
            changes = json.loads(raw)
            for action in ("reset", "release_hung"):
                if changes.pop(action, False):
                    getattr(self.server.emulator, action)()
            self.server.emulator.control(**changes)
        except (ValueError, TypeError, AttributeError) as error:
            self._send(400, json.dumps({"error": str(error)}).encode())
        else:
            self._send(200, b"{}")

    def _send(self, code: int, body: bytes, *, cut: bool = False) -> None:
        self.send_response(code)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
        self.send_header("Content-Length", str(len(body)))
        if code >= 400 and self.server.emulator.faults.retry_after is not None:
            self.send_header("Retry-After", self.server.emulator.faults.retry_after)
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if cut else body)
        self.close_connection = self.close_connection or cut

    def log_message(self, *args: Any) -> None:
        """Say nothing: the stats tell."""


def main() -> None:
    """Serve until killed; the first line of the output is the base URL."""
    parser = argparse.ArgumentParser(description="A local emulator of the Gemini API.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--api-key", default="emulator-key")
    arguments = parser.parse_args()
    emulator = GeminiEmulator(arguments.port, arguments.api_key)
    print(emulator.base_url, flush=True)
    emulator.serve()


if __name__ == "__main__":
    main()
