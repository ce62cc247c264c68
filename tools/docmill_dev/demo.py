"""``docmill demo``: real files in, cited answers out, everything through the public API."""

import json
import textwrap
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

from rich.console import Console
from rich.text import Text

from docmill_client import Client, Passage
from docmill_dev import citations, places, replies, session, terminal
from docmill_dev.development import Development
from docmill_dev.session import Session
from docmill_dev.terminal import count, seconds
from docmill_dev.uploads import Outcome, upload_and_wait

_PASSAGES_PER_QUESTION = 2
_NEARLY = 0.8
#: Without a question, so many files show how they begin.
_BEGINNINGS = 3
_CHAT = "How long does the battery last without sun?"


@dataclass(frozen=True, slots=True)
class Demo:
    """What is shown: documents, and what they are asked."""

    files: Sequence[Path]
    questions: Sequence[str]
    chat: str | None = None  #: what a conversation begins with; None: the first question

    @classmethod
    def of_examples(cls) -> "Demo":
        """The documents of the repository with their questions."""
        folder = places.examples()
        asked = json.loads((folder / "questions.json").read_text())
        # Neither a note to the reader of the folder nor the questions are documents of it.
        about = {"README.md", "questions.json"}
        files = sorted(path for path in folder.iterdir() if path.name not in about)
        return cls(files, [each["question"] for each in asked], _CHAT)


def run(demo: Demo, directory: Path, console: Console) -> bool:
    """Show it; whether every file is searchable now (a duplicate is).

    Where docmill runs already in ``directory``, it is used and left running.
    """
    started = time.monotonic()
    console.print()
    with _docmill(directory, console) as (account, own), account.connect() as client:
        watch = own.require_alive if own is not None else (lambda: None)
        heading = f"Uploading {count(len(demo.files), 'file')} as {account.email}"
        console.print(Text(f"\n{heading}\n", "bold"))
        outcome = upload_and_wait(client, demo.files, console, on_look=watch)
        console.print()
        for question in demo.questions:
            _ask(client, question, console)
        if demo.questions:
            _chat(client, demo.chat or demo.questions[0], console)
        else:
            _show_beginnings(client, outcome, console)
        _sum_up(demo, outcome, time.monotonic() - started, console)
        if own is not None:
            _hint(console, "Leave it running", "make up")
        _hint(console, "Your own files", 'make demo FILES="a.pdf b.docx" ASK="your question"')
        console.print()
    return outcome.failed == 0


@contextmanager
def _docmill(directory: Path, console: Console) -> Iterator[tuple[Session, Development | None]]:
    """The docmill that runs here, or one of our own for as long as this lasts."""
    running = session.running(directory)
    if running is not None:
        console.print(Text(f"docmill runs here already: using {running.url}", "bold"))
        yield running, None
        return
    console.print(Text("Starting docmill\n", "bold"))
    with ExitStack() as stack:
        development = Development(directory, step=partial(terminal.step, console))
        stack.enter_context(development)
        try:
            yield development.demo_session(), development
        finally:
            with terminal.step(console, "Stopping", "Stopped; nothing is left running"):
                stack.close()


def _ask(client: Client, question: str, console: Console) -> None:
    for line in textwrap.wrap(question, console.width - 4):
        console.print(Text.assemble(("  ", ""), (line, "bold")))
    console.print()
    found = client.search(question, limit=_PASSAGES_PER_QUESTION)
    worth = [each for each in found.passages if _is_worth_showing(each, found.passages[0])]
    citations.show(console, replace(found, passages=worth), question)


def _chat(client: Client, question: str, console: Console) -> None:
    console.print(Text("  And as a conversation, with docmill chat\n", "bold"))
    console.print(Text(f"> {question}\n"))
    replies.show(console, client.chat(question), question)


def _is_worth_showing(passage: Passage, best: Passage) -> bool:
    """The best one always; the next one only if it means nearly as much."""
    if passage is best or passage.similarity is None or best.similarity is None:
        return True
    return passage.similarity >= _NEARLY * best.similarity


def _show_beginnings(client: Client, outcome: Outcome, console: Console) -> None:
    """How the documents begin, where nothing was asked."""
    searchable = [file for file in outcome.files if file.status != "FAILED"]
    for file in searchable[:_BEGINNINGS]:
        for chunk in islice(client.chunks(file.duplicate_of or file.id), 1):
            passage = Passage.of_chunk(file, chunk)
            citations.show_one(console, passage, "")


def _sum_up(demo: Demo, outcome: Outcome, took: float, console: Console) -> None:
    parts = [count(len(demo.files), "file"), count(outcome.chunks, "new passage")]
    if outcome.duplicates:
        parts.insert(1, count(outcome.duplicates, "duplicate"))
    if outcome.failed:
        parts.insert(1, f"{outcome.failed} not ingested")
    if demo.questions:
        parts.append(count(len(demo.questions), "question"))
    console.print(Text.assemble((", ".join(parts), "bold"), f" in {seconds(took)}."))
    console.print()


def _hint(console: Console, what: str, command: str) -> None:
    console.print(Text.assemble(f"  {what:<18}", (command, "cyan")))
