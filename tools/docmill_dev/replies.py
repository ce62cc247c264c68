"""Answers as a reader wants them: the text, and below it what it rests on, in 80 columns."""

import re

from rich.console import Console
from rich.text import Text

from docmill_client import Citation, Reply
from docmill_dev import citations
from docmill_dev.citations import INDENT
from docmill_dev.terminal import wrapped

_MARKER = re.compile(r" ?\[(\d+)\]")
#: What a quote or a point of a list begins with; also nothing.
_BEGINNING = re.compile(r"“?(?:\s*(?:[-*•]|\d{1,2}[.)])\s+)?")
#: In place of the space before a marker, so that none begins a line; no text has this character.
_JOINT = "\ufdd0"


def show(console: Console, reply: Reply, question: str, *, with_notice: bool = True) -> None:
    """Print an answer and its sources.

    ``with_notice``: also why no model wrote it; for those who have not been told yet.
    """
    if reply.degraded:
        citations.say_that_words_alone_counted(console)
    if reply.notice is not None and with_notice:
        for line in wrapped(console, reply.notice.detail, console.width - len(INDENT)):
            console.print(Text(INDENT + line, "yellow"), no_wrap=True)
        console.print()
    numbers = {str(each.number) for each in reply.citations}
    for paragraph in reply.answer.strip().splitlines():
        for line in _lines(console, paragraph):
            shown = Text(line)
            for marker in _MARKER.finditer(line):
                if marker[1] in numbers:
                    shown.stylize("bold cyan", *marker.span())
            console.print(shown, no_wrap=True)
    console.print()
    for citation in reply.citations:
        _show_source(console, citation, reply.answer, question)


def _lines(console: Console, paragraph: str) -> list[str]:
    """Those after the first begin below its first word."""
    hanging = INDENT + " " * len(_BEGINNING.match(paragraph)[0])  # type: ignore[index]
    joined = _MARKER.sub(lambda marker: marker[0].replace(" ", _JOINT), paragraph)
    first, *more = wrapped(console, joined, console.width - len(hanging))
    lines = [INDENT + first, *(hanging + line for line in more)]
    return [line.replace(_JOINT, " ").rstrip() for line in lines]


def _show_source(console: Console, citation: Citation, answer: str, question: str) -> None:
    """Its number, file, pages and headings, and the words that count."""
    passage = citation.passage
    number = (f"[{citation.number}] ".ljust(len(INDENT)), "bold cyan")
    console.print(Text.assemble(number, citations.place_of(passage)))
    citations.show_headings(console, passage)
    # Where no model wrote it, the answer consists of quotes, which need not be read twice.
    if citation.quote is None or citation.quote not in answer:
        citations.show_words(console, citation.quote or passage.text, question)
    console.print()
