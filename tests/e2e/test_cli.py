"""``docmill up`` and the commands that work with it from another terminal."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.command import (
    CONTROL_CODE,
    EXAMPLES,
    Running,
    nothing_is_left,
    run,
    service_process,
)

NOT_RUNNING = "docmill: docmill is not running here. Start it with: make up\n"
READY = "Stop everything"


@pytest.mark.timeout(900)
def test_up_serves_other_terminals_until_it_is_asked_to_stop(
    tmp_path: Path, eventually: Callable[..., None]
) -> None:
    data = tmp_path / "data"
    wrong = tmp_path / "archive.pdf"
    wrong.write_bytes(b"PK\x05\x06" + bytes(18))  # the shortest zip

    # Given a docmill that runs
    with Running("up", data=data, output=tmp_path / "output") as up:
        up.wait_for(READY)
        session = data / "session.json"
        assert session.stat().st_mode & 0o777 == 0o600

        # When a file is ingested, then it is listed and found.
        ingested = run("ingest", EXAMPLES / "station-handbook.pdf", "--public", data=data)
        assert ingested.returncode == 0, ingested.stderr
        assert "COMPLETED" in ingested.stdout
        listed = run("files", data=data).stdout
        assert "station-handbook.pdf" in listed
        assert "(public)" in listed
        found = run("search", "How long does the battery last without sun?", data=data)
        assert found.returncode == 0
        assert "station-handbook.pdf, page 5" in found.stdout
        assert "ten days" in found.stdout
        assert not CONTROL_CODE.search(ingested.stdout + listed + found.stdout)
        # A question is answered from it, and the answer names its source.
        answered = run("chat", "How long does the battery last without sun?", data=data)
        assert answered.returncode == 0, answered.stderr
        assert "ten days.” [1]\n\n[1] station-handbook.pdf, page 5\n" in answered.stdout
        assert answered.stdout.count("No language model is configured") == 1
        assert not CONTROL_CODE.search(answered.stdout)
        assert max(map(len, answered.stdout.splitlines())) <= 80

        # When a file is not what it says, then its reason and its sentence are shown.
        failed = run("ingest", wrong, data=data)
        assert failed.returncode == 1
        assert "archive.pdf" in failed.stdout
        assert "type_mismatch" in failed.stdout
        assert "zip archive" in " ".join(failed.stdout.split())

        # When the file is empty, then it is refused before anything is uploaded.
        empty = tmp_path / "empty.txt"
        empty.touch()
        refused = run("ingest", empty, data=data)
        assert refused.returncode == 1
        assert "empty_file" in refused.stdout

        # The demo account has been welcomed, by a mail that went nowhere else.
        eventually(lambda: "demo@docmill.example" in run("mail", data=data).stdout, timeout=120)
        assert (
            "Your account demo@docmill.example is ready." in run("mail", "show", data=data).stdout
        )

        # When it is started a second time, then it says so; a demo uses the one that runs.
        second = run("up", data=data)
        assert second.returncode == 1
        assert "running here already" in second.stderr
        demo = run("demo", EXAMPLES / "readings.csv", data=data)
        assert demo.returncode == 0, demo.stderr
        assert "runs here already" in demo.stdout
        assert run("files", data=data).returncode == 0

        # and its log has told of all that.
        eventually(lambda: "POST /v1/search 200" in up.text(), what="the search in the log")

        # When it is asked to stop, then it does, and leaves neither process nor session.
        up.send(signal.SIGTERM)
        assert up.exit_code() == 0, up.text()
    assert not session.exists()
    eventually(nothing_is_left(data), what="no process is left")
    gone = run("files", data=data)
    assert (gone.returncode, gone.stderr) == (2, NOT_RUNNING)


@pytest.mark.timeout(600)
def test_up_names_the_process_that_died_and_stops(
    tmp_path: Path, eventually: Callable[..., None]
) -> None:
    # Given a docmill that runs
    data = tmp_path / "data"
    with Running("up", data=data, output=tmp_path / "output") as up:
        up.wait_for(READY)
        # When its ingest worker is killed
        service_process(data, "docmill_ingest").kill()
        # Then it says which one died, and ends,
        assert up.exit_code() == 1
        assert "ingest was ended by signal 9. The end of" in " ".join(up.text().split())
    # with everything else.
    eventually(nothing_is_left(data), what="no process is left")


@pytest.mark.parametrize(
    "arguments",
    [
        ("files",),
        ("search", "anything"),
        ("chat", "anything"),
        ("chat",),
        ("ingest", EXAMPLES / "readings.csv"),
    ],
)
def test_without_a_server_there_is_a_sentence(
    tmp_path: Path, arguments: tuple[object, ...]
) -> None:
    answer = run(*arguments, data=tmp_path)

    assert (answer.returncode, answer.stdout, answer.stderr) == (2, "", NOT_RUNNING)


@pytest.mark.parametrize(
    "arguments", [("ingest",), ("ingest", "no such file"), ("search", "x", "--mode", "magic")]
)
def test_wrong_usage_ends_with_2(tmp_path: Path, arguments: tuple[object, ...]) -> None:
    answer = run(*arguments, data=tmp_path)

    assert answer.returncode == 2
    assert "Traceback" not in answer.stderr
