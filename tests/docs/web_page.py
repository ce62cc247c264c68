"""A page of an origin of its own, and a real browser that opens it."""

import json
import os
import queue
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

#: The example finds a file input, as in its reader's page; a person would choose a file in it.
_PAGE = """<!doctype html><meta charset="utf-8"><title>test</title>
<input type="file">
<script>
  const say = (what) => fetch("/said", {{ method: "POST", body: JSON.stringify(what) }});
  console.log = (what) => say({{ logged: what }});
  window.onerror = (message) => say({{ error: message }});
  window.onunhandledrejection = (event) => say({{ error: String(event.reason) }});
  {variables}
</script>
<script>{code}</script>
<script type="module">
  const content = await (await fetch("/{name}")).blob();
  const chosen = new DataTransfer();
  chosen.items.add(new File([content], "{name}", {{ type: content.type }}));
  const input = document.querySelector("input[type=file]");
  input.files = chosen.files;
  input.dispatchEvent(new Event("change"));
</script>
"""


def required(*programs: str, package: str) -> str:
    """The path of the first of these programs that there is.

    Where there is none, a run of CI fails, and a developer's says what to install.
    """
    for program in programs:
        if found := shutil.which(program):
            return found
    sentence = f"{programs[0]} is missing. On Debian or Ubuntu: apt install {package}"
    if os.environ.get("CI"):
        pytest.fail(sentence)
    pytest.skip(sentence)


class Page:
    """A site on loopback: one page, the file that is chosen in it, and what the page says."""

    def __init__(self, server: ThreadingHTTPServer, said: "queue.Queue[dict[str, Any]]") -> None:
        self._server = server
        self._said = said
        self.origin = f"http://127.0.0.1:{server.server_port}"

    def show(self, code: str, name: str, content: bytes, **variables: str) -> None:
        """What is served from now on."""
        lines = " ".join(f"const {each} = {json.dumps(v)};" for each, v in variables.items())
        html = _PAGE.format(variables=lines, code=code, name=name).encode()
        files = {"/": ("text/html", html), f"/{name}": ("application/pdf", content)}
        self._server.files = files  # type: ignore[attr-defined]

    def said(self, timeout: float = 120) -> dict[str, Any]:
        """The next thing that the page says."""
        return self._said.get(timeout=timeout)


@contextmanager
def page() -> Iterator[Page]:
    """A site that is served for as long as this lasts."""
    said: queue.Queue[dict[str, Any]] = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, content = self.server.files.get(self.path, ("", b""))  # type: ignore[attr-defined]
            self._answer(200 if kind else 404, kind, content)

        def do_POST(self) -> None:
            said.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self._answer(204)

        def _answer(self, status: int, kind: str = "", content: bytes = b"") -> None:
            self.send_response(status)
            if kind:
                self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.files = {}  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield Page(server, said)
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@contextmanager
def browser(url: str) -> Iterator[None]:
    """A browser of its own that shows this page."""
    program = required(*_BROWSERS, package="chromium")
    # Its sandbox wants another user than root.
    sandbox = () if os.geteuid() else ("--no-sandbox",)
    with tempfile.TemporaryDirectory(
        prefix="docmill-browser-", ignore_cleanup_errors=True
    ) as folder:
        process = subprocess.Popen(
            [program, *_FLAGS, *sandbox, f"--user-data-dir={folder}", url],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
