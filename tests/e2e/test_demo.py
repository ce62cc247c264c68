"""``docmill demo`` as a newcomer runs it: a real process, a new folder, all output in a pipe."""

import json
import re
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
    squeezed,
)

DOCUMENTS = {path.name for path in EXAMPLES.iterdir()} - {"README.md", "questions.json"}
QUESTIONS = json.loads((EXAMPLES / "questions.json").read_text())


@pytest.mark.timeout(1_200)
def test_demo_answers_its_questions_and_a_second_one_finds_duplicates(
    tmp_path: Path, eventually: Callable[..., None]
) -> None:
    # When it runs for the first time
    first = run("demo", data=tmp_path)

    # Then every example is ingested
    assert first.returncode == 0, first.stdout + first.stderr
    assert first.stderr == ""
    assert statuses(first.stdout) == dict.fromkeys(DOCUMENTS, "COMPLETED")
    # and each question is answered from the right page, with the words that answer it,
    for question in QUESTIONS:
        place, answer = answer_to(question["question"], first.stdout)
        assert question["file"] in place
        assert question["page"] in pages(place)
        assert squeezed(question["answer"]) in squeezed(answer)
    # and the output is made for a pipe
    assert not CONTROL_CODE.search(first.stdout)
    assert max(map(len, first.stdout.splitlines())) <= 80
    # and nothing runs any more.
    eventually(nothing_is_left(tmp_path), what="no process of the first run")

    # When it runs again
    second = run("demo", data=tmp_path)

    # Then it finds what is there and answers as before.
    assert second.returncode == 0, second.stdout + second.stderr
    assert statuses(second.stdout) == dict.fromkeys(DOCUMENTS, "DUPLICATE")
    for question in QUESTIONS:
        assert question["file"] in answer_to(question["question"], second.stdout)[0]
    eventually(nothing_is_left(tmp_path), what="no process of the second run")


@pytest.mark.timeout(600)
def test_demo_takes_own_files_and_own_questions(
    tmp_path: Path, eventually: Callable[..., None]
) -> None:
    # Given a file of one's own with a blank in its name, and one that is not what it says
    own = tmp_path / "my notes.md"
    own.write_text("# Bees\n\nThe hive by the chestnut swarmed on the ninth of May.\n")
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(b"This was never a PDF.")

    # When they are shown with a question
    shown = run("demo", own, broken, "--ask", "When did the hive swarm?", data=tmp_path / "data")

    # Then the question is answered, and the broken file is named with the reason.
    place, answer = answer_to("When did the hive swarm?", shown.stdout)
    assert "my notes.md" in place
    assert "ninth of May" in answer
    assert statuses(shown.stdout)["broken.pdf"] == "REFUSED"
    assert "type_mismatch" in shown.stdout
    assert shown.returncode == 1
    eventually(nothing_is_left(tmp_path / "data"), what="no process is left")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("moment", ["Starting docmill", "The database schema", "Uploading"])
def test_ctrl_c_at_any_moment_leaves_nothing_running(
    tmp_path: Path, moment: str, eventually: Callable[..., None]
) -> None:
    # Given a demo that has come this far
    data = tmp_path / "data"
    with Running("demo", data=data, output=tmp_path / "output") as demo:
        demo.wait_for(moment)
        # When it is interrupted
        demo.send(signal.SIGINT)
        # Then it ends in order, without a traceback,
        assert demo.exit_code() == 130, demo.text()
        assert "Traceback" not in demo.text()
    # and takes all that it started along.
    eventually(nothing_is_left(data), what="no process is left")


def statuses(output: str) -> dict[str, str]:
    """The status of each file by its name."""
    lines = re.findall(r"^  [✓=✗] (\S.*?)\s+(COMPLETED|DUPLICATE|FAILED|REFUSED)\b", output, re.M)
    return dict(lines)


def answer_to(question: str, output: str) -> tuple[str, str]:
    """The line that cites the best passage, and what is quoted from it."""
    _, found, rest = output.partition(f"  {question}\n")
    assert found, f"“{question}” is not in:\n{output}"
    block = rest.strip("\n").split("\n\n")[0]
    place, _, quoted = block.partition("\n")
    return place, quoted


def pages(place: str) -> range:
    """The pages that a citation names."""
    found = re.search(r", pages? (\d+)(?:–(\d+))?", place)
    assert found, place
    return range(int(found[1]), int(found[2] or found[1]) + 1)
