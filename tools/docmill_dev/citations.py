"""Passages as a reader wants them: where each stands and the part that answers, in 80 columns."""

from rich.console import Console
from rich.text import Text

from docmill_client import Found, Passage
from docmill_dev.excerpts import excerpt, matches
from docmill_dev.file_lines import elided
from docmill_dev.terminal import harmless, wrapped

#: Whatever is said of a passage, and an answer that rests on it, begins here.
INDENT = "    "
_NAME = 40


def show(console: Console, found: Found, query: str) -> None:
    """Print the passages of a search; a sentence when there is none."""
    if found.degraded:
        say_that_words_alone_counted(console)
    if not found.passages:
        console.print(Text(f"{INDENT}No passage found.\n", "yellow"))
    for passage in found.passages:
        show_one(console, passage, query)


def say_that_words_alone_counted(console: Console) -> None:
    """The sentence about a degraded search."""
    console.print(Text(f"{INDENT}By words alone: the query could not be embedded.\n", "yellow"))


def show_one(console: Console, passage: Passage, query: str) -> None:
    """File, page and score in one line, below it the headings and an excerpt."""
    place = Text(INDENT) + place_of(passage)
    score = _score(passage)
    room = console.width - place.cell_len - len(score)
    line = place + Text(" " * max(room, 2)) + Text(score, "dim")
    line.rstrip()
    console.print(line)
    show_headings(console, passage)
    text = passage.text
    if passage.heading_path:
        # The heading itself begins the passage; it need not be read twice.
        text = text.removeprefix(passage.heading_path[-1]).strip() or text
    show_words(console, text, query)
    console.print()


def place_of(passage: Passage) -> Text:
    """File and page."""
    name = (elided(harmless(passage.file_name), _NAME), "bold cyan")
    return Text.assemble(name, (f", {passage.pages}" if passage.pages else "", "bold"))


def show_headings(console: Console, passage: Passage) -> None:
    """The path to the passage, if it has one; its beginning is left out first."""
    if not passage.heading_path:
        return
    for shown in (" › ".join(passage.heading_path), passage.heading_path[-1]):
        line = Text(harmless(" ".join(shown.split())), "italic")
        if line.cell_len <= _columns(console):
            break
    line.truncate(_columns(console), overflow="ellipsis")
    _quote(console, line)


def show_words(console: Console, text: str, query: str) -> None:
    """Of a long text the part that answers; the words of the query in it are marked."""
    for paragraph in excerpt(text, query).splitlines():
        for line in wrapped(console, paragraph, _columns(console)):
            shown = Text(line)
            for start, end in matches(line, query):
                shown.stylize("bold yellow", start, end)
            _quote(console, shown)


def _columns(console: Console) -> int:
    return console.width - len(INDENT) - 2


def _quote(console: Console, line: Text) -> None:
    console.print(Text.assemble(INDENT, ("│ ", "cyan")) + line, no_wrap=True)


def _score(passage: Passage) -> str:
    if passage.score is None:
        return ""
    if passage.similarity is None:
        return f"score {passage.score:.3f}"
    return f"score {passage.score:.3f}, similarity {passage.similarity:.2f}"
