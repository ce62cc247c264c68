"""The local embedder where it must work: no network, nothing writable, several processes."""

import json
import logging
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from docmill_shared.embedding import build_embedder, local

# An audit hook sees every attempt, so the test needs neither root nor a network namespace.
OFFLINE = """
import json, os, sys, threading
def forbid(event, args):
    network = event in ("socket.connect", "socket.getaddrinfo")
    written = event == "open" and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if network or (written and args[0] != os.devnull) or event in ("os.mkdir", "os.symlink"):
        raise RuntimeError(f"{event} {args}")
sys.dont_write_bytecode = True
sys.addaudithook(forbid)
from docmill_shared.embedding import build_embedder
print(json.dumps(build_embedder("local").embed_query("offline").tolist()))
"""


def run_offline() -> list[float]:
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE],
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    vector: list[float] = json.loads(done.stdout)
    return vector


def test_it_needs_no_network_and_writes_nothing_even_in_several_processes() -> None:
    here = build_embedder("local").embed_query("offline")

    with ThreadPoolExecutor(2) as pool:
        for there in pool.map(lambda _: run_offline(), range(2)):
            np.testing.assert_allclose(there, here, atol=1e-7)


def test_a_text_without_tokens_is_near_nothing_but_its_like() -> None:
    rows = build_embedder("local").embed_documents(["", "plain words", ""])

    assert float(rows[0] @ rows[2]) == 1.0
    assert float(rows[0] @ rows[1]) == 0.0


def test_the_weights_load_once_for_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    loads = []
    original = local._load

    def counted() -> local._Weights:
        loads.append(1)
        return original()

    monkeypatch.setattr(local, "_weights", None)
    monkeypatch.setattr(local, "_load", counted)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: build_embedder("local").embed_query(f"text {n}"), range(8)))

    assert len(loads) == 1


def test_the_root_logger_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_weights", None)
    for name in [name for name in sys.modules if name.partition(".")[0] == "wordllama"]:
        monkeypatch.delitem(sys.modules, name)
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", logging.WARNING)

    local._import_wordllama()

    assert root.handlers == []
    assert root.level == logging.WARNING


def test_the_vectors_are_those_that_the_model_name_promises() -> None:
    """When this fails, a new wordllama has other weights: give ``LocalEmbedder.model`` a new name.

    Vectors cached under the old name would otherwise be compared with new ones.
    """
    vector = build_embedder("local").embed_query("The invoice is due in May.")

    assert build_embedder("local").model == "wordllama-l2-256"
    np.testing.assert_allclose(vector[:4], [-0.114747, -0.139287, -0.027001, 0.101346], atol=1e-5)
