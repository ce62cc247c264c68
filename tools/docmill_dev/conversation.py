"""``docmill chat``: a question and its answer, or a conversation in a terminal or a pipe."""

import contextlib
import sys
from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from docmill_client import ApiError, Client, Message, Notice
from docmill_dev import replies
from docmill_dev.terminal import busy, complain, harmless

_PROMPT = "> "


class Conversation:
    """One with the files of an account. ``limit``: passages that an answer may rest on."""

    def __init__(self, client: Client, console: Console, limit: int) -> None:
        self._client = client
        self._console = console
        self._limit = limit
        self._history: tuple[Message, ...] = ()
        self._told: Notice | None = None

    def ask(self, question: str) -> None:
        """Print the answer; raises ``DocmillError`` if there is none."""
        with busy(self._console, "Reading"):
            reply = self._client.chat(question, history=self._history, limit=self._limit)
        self._console.print()
        replies.show(self._console, reply, question, with_notice=reply.notice != self._told)
        self._history, self._told = reply.history, reply.notice

    def run(self) -> None:
        """Answer what is typed, or every line of a pipe, up to its end.

        At a prompt, a question that is refused leads to a sentence and to the next question.
        """
        if not sys.stdin.isatty():
            for question in _lines():
                self._console.print(Text(_PROMPT + harmless(question), "bold"), soft_wrap=True)
                self.ask(question)
            return
        self._console.print("Ask your files; an empty line ends it.", style="dim")
        for question in _typed():
            try:
                self.ask(question)
            except ApiError as error:
                complain(str(error))


def _lines() -> Iterator[str]:
    """What comes through a pipe, as far as it is text."""
    with contextlib.suppress(AttributeError):
        sys.stdin.reconfigure(errors="replace")  # type: ignore[union-attr]
    return (line.strip() for line in sys.stdin if line.strip())


def _typed() -> Iterator[str]:
    """What is typed at a prompt, until an empty line or Ctrl-D."""
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 - from it, input() has keys for editing
    piped = not sys.stdout.isatty()
    while True:
        if piped:  # the prompt is nothing for whoever reads the answers
            print(_PROMPT, end="", file=sys.stderr, flush=True)
        try:
            question = input("" if piped else _PROMPT).strip()
        except (EOFError, KeyboardInterrupt) as end:
            print(file=sys.stderr)
            if isinstance(end, KeyboardInterrupt):
                raise
            return
        if not question:
            return
        yield question
