"""``docmill chat``: what is asked, and how a conversation goes on and ends."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from docmill_client import Client
from docmill_dev import demo, terminal
from docmill_dev.cli import app
from docmill_dev.session import Session
from tests.fakes.stub_api import StubApi, problem, stub_api
from tests.unit.client.bodies import chat_body

CHAT = "POST /v1/chat"
NO_MODEL = {"code": "no_model", "detail": "No language model is configured, so these are quotes."}
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")


@pytest.fixture
def stub() -> Iterator[StubApi]:
    with stub_api() as server:
        yield server


@pytest.fixture
def data(stub: StubApi, tmp_path: Path) -> Path:
    """What a docmill that runs has left."""
    Session(stub.url, "ada@example.org", "hers").write(tmp_path)
    return tmp_path


def docmill(*arguments: object, data: Path, typed: str | bytes = "") -> Result:
    return CliRunner().invoke(app, [*map(str, arguments), "--data", str(data)], input=typed)


def asked(stub: StubApi) -> list[list[str]]:
    """The contents of the messages of each request."""
    bodies = [json.loads(each.body) for each in stub.to(CHAT)]
    return [[each["content"] for each in body["messages"]] for body in bodies]


def test_one_question(stub: StubApi, data: Path) -> None:
    stub.tell(CHAT, (200, chat_body()))

    result = docmill("chat", "How long?", "--limit", 3, data=data)

    assert result.exit_code == 0
    assert "    Ten days [1].\n\n[1] handbook.pdf, pages 5–6\n" in result.stdout
    assert json.loads(stub.to(CHAT)[-1].body)["limit"] == 3
    assert not CONTROL.search(result.stdout)


def test_a_pipe_is_a_conversation(stub: StubApi, data: Path) -> None:
    quotes = chat_body("Ten days [1].", model=None, notice=NO_MODEL)
    stub.tell(CHAT, (200, quotes))

    result = docmill("chat", data=data, typed="How long?\n\n  And then? \n")

    assert result.exit_code == 0
    assert asked(stub) == [["How long?"], ["How long?", "Ten days [1].", "And then?"]]
    first, _, second = result.stdout.partition("> And then?\n")
    assert first.startswith("> How long?\n\n    No language model")
    assert "Ten days [1]." in second
    assert result.stdout.count("No language model") == 1, "it is said once"


def test_what_comes_through_a_pipe_and_is_no_text_is_asked_as_far_as_it_is(
    stub: StubApi, data: Path
) -> None:
    stub.tell(CHAT, (200, chat_body()))

    result = docmill("chat", data=data, typed=b"caf\xe9?\n")

    assert result.exit_code == 0
    assert asked(stub) == [["caf\ufffd?"]]


def test_another_notice_is_told(stub: StubApi, data: Path) -> None:
    away = {"code": "model_unavailable", "detail": "It is away."}
    told = [chat_body(notice=notice) for notice in (away, away, None, away)]
    stub.tell(CHAT, *((200, each) for each in told))

    result = docmill("chat", data=data, typed="1\n2\n3\n4\n")

    assert [len(part.split("It is away.")) - 1 for part in result.stdout.split("> ")[1:]] == [
        1,
        0,
        0,
        1,
    ]


@pytest.mark.parametrize("typed", ["", "How long?\nAnd then?\n"])
def test_a_refusal_is_a_sentence_and_the_end_of_a_pipe(
    stub: StubApi, data: Path, typed: str
) -> None:
    stub.tell(CHAT, problem(422, "validation_failed"))

    result = docmill("chat", *([] if typed else ["How long?"]), data=data, typed=typed)

    assert result.exit_code == 1
    assert result.stderr == "docmill: This is validation_failed.\n"
    assert stub.came(CHAT) == 1


def test_nothing_runs(tmp_path: Path) -> None:
    result = docmill("chat", "How long?", data=tmp_path)

    assert (result.exit_code, result.stdout) == (2, "")
    assert "Start it with: make up" in result.stderr


@pytest.mark.parametrize("limit", [0, 21])
def test_a_wrong_limit_is_wrong_usage(data: Path, limit: int) -> None:
    assert docmill("chat", "x", "--limit", limit, data=data).exit_code == 2


class Dialogue:
    """``docmill chat`` at a terminal of its own."""

    def __init__(self, data: Path, **variables: str) -> None:
        self._ours, theirs = pty.openpty()
        environ = {k: v for k, v in os.environ.items() if not k.startswith("DOCMILL_")}
        environ.update({"TERM": "xterm", "COLUMNS": "80", "LINES": "24", **variables})
        command = [str(Path(sys.executable).with_name("docmill")), "chat", "--data", str(data)]
        # As at a terminal, also where these tests run in the background and must ignore it.
        ours = signal.signal(signal.SIGINT, signal.default_int_handler)
        self._process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env=environ, start_new_session=True
        )
        signal.signal(signal.SIGINT, ours)
        os.close(theirs)
        self._raw = ""
        self._read_to = 0

    @property
    def seen(self) -> str:
        """What it has said, without colours and movements."""
        return re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", self._raw)

    def __enter__(self) -> "Dialogue":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        os.close(self._ours)

    def wait_for(self, words: str) -> None:
        """Read on, behind what was waited for before; the test's time-out bounds it."""
        while (at := self.seen.find(words, self._read_to)) < 0:
            assert self._read(), f"ended before {words!r}:\n{self.seen}"
        self._read_to = at + len(words)

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def interrupt(self) -> None:
        """As Ctrl-C does where the terminal is the session's own, until something comes of it.

        Between its prompt and its wait for a key, Python notes a signal and looks at it after the
        next one. Who sits there presses it again.
        """
        for _ in range(6):
            self._process.send_signal(signal.SIGINT)
            if select.select([self._ours], [], [], 10)[0] and "\n" in self._read():
                return

    def ended(self) -> int:
        """Its exit code, once it has said everything."""
        while self._read():
            pass
        return self._process.wait(20)

    def _read(self) -> str:
        try:
            block = os.read(self._ours, 65_536).decode(errors="replace")
        except OSError:  # the other side has gone
            return ""
        self._raw += block
        return block


@pytest.mark.timeout(60)
@pytest.mark.parametrize("end", ["\n", "\x04"])
def test_a_conversation_at_a_terminal(stub: StubApi, data: Path, end: str) -> None:
    refused = problem(422, "validation_failed")
    stub.tell(CHAT, (200, chat_body()), refused, (200, chat_body("The heating [1].")))

    with Dialogue(data, NO_COLOR="1") as dialogue:
        dialogue.wait_for("> ")
        dialogue.type("How long?\n")
        dialogue.wait_for("Ten days [1].")
        dialogue.wait_for("> ")
        # A question that is refused does not end it,
        dialogue.type("Too long?\n")
        dialogue.wait_for("This is validation_failed.")
        dialogue.wait_for("> ")
        # and is not remembered.
        dialogue.type("What first?\n")
        dialogue.wait_for("The heating [1].")
        dialogue.wait_for("> ")
        dialogue.type(end)
        assert dialogue.ended() == 0, dialogue.seen

    assert asked(stub)[-1] == ["How long?", "Ten days [1].", "What first?"]


@pytest.mark.timeout(120)
def test_ctrl_c_ends_a_conversation_on_a_line_of_its_own(data: Path) -> None:
    with Dialogue(data) as dialogue:
        dialogue.wait_for("> ")
        dialogue.interrupt()
        assert dialogue.ended() == 130

    assert dialogue.seen.endswith("\r\ndocmill: interrupted.\r\n")


def test_the_demo_shows_one_question_as_chat_does(stub: StubApi) -> None:
    stub.tell(CHAT, (200, chat_body(model=None, notice=NO_MODEL)))
    console = terminal.output()
    with Client(stub.url, token="t") as client, console.capture() as capture:
        demo._chat(client, "How long?", console)

    assert asked(stub) == [["How long?"]]
    text = capture.get()
    assert "docmill chat" in text.splitlines()[0]
    assert "\n> How long?\n" in text
    assert "No language model is configured" in text
    assert "[1] handbook.pdf, pages 5–6" in text
