"""The part of a passage that answers, and the words in it that were asked for.

For people's eyes only: what was found, and in which order, the API has decided before.
"""

import re
import textwrap

#: Characters that a reader takes in at a glance; an excerpt is about this long.
LENGTH = 330
GAP = "…"

Span = tuple[int, int]

_WORD = re.compile(r"\w+(?:['’]\w+)?")
_SENTENCE_END = re.compile(r"(?<=[.!?;])\s+(?=\W*[A-Z0-9])")
_NUMBER = re.compile(r"\W*\w{1,3}\.")
#: Words that hold a question together and say nothing of its subject.
_STRUCTURE = frozenset(
    """
    a about after all an and any are as at be been before but by can could did do does for from had
    has have how i if in into is it its many me more most much my no not of on one or our out over
    should so than that the their them then there these they this to under up was we were what when
    where which while who whom whose why will with without would you your
    """.split()  # noqa: SIM905 - a list literal of 90 words reads worse
)
_ENDINGS = ("ings", "ing", "ies", "ers", "es", "ed", "er", "ly", "s", "y", "e")


def excerpt(text: str, query: str, length: int = LENGTH) -> str:
    """The sentences that hold most of the query's words, in their order, with what follows them.

    A paragraph begins on a line of its own; an ellipsis stands for what is left out. About
    ``length`` characters.
    """
    pieces = _pieces(text, length)
    chosen = _best([piece for piece, _ in pieces], _stems(query), length)
    room = length - sum(len(pieces[index][0]) for index in chosen)
    # What follows an answer explains it better than what comes before.
    for index in _neighbours(chosen, len(pieces)):
        if len(pieces[index][0]) > room:
            break
        chosen.append(index)
        room -= len(pieces[index][0])
    shown = ""
    expected = 0
    for index in sorted(chosen):
        piece, begins_paragraph = pieces[index]
        if index != expected:
            shown += f" {GAP} "
        elif index:
            shown += "\n" if begins_paragraph else " "
        shown += piece
        expected = index + 1
    return (shown + (f" {GAP}" if expected < len(pieces) else "")).strip()


def matches(line: str, query: str) -> list[Span]:
    """Where the line has words of the query, in any of their usual forms."""
    stems = _stems(query)
    return [word.span() for word in _WORD.finditer(line) if _stem(word.group()) in stems]


def _pieces(text: str, longest: int) -> list[tuple[str, bool]]:
    """Sentences, and whether each begins a paragraph.

    Where a text has none, as tables do: what fits into ``longest`` characters.
    """
    pieces: list[tuple[str, bool]] = []
    for paragraph in re.split(r"\n\s*\n", text):
        begins = True
        number = ""
        for sentence in _SENTENCE_END.split(" ".join(paragraph.split())):
            if _NUMBER.fullmatch(sentence):  # belongs to what it counts
                number = f"{sentence} "
                continue
            for piece in textwrap.wrap(number + sentence, longest, break_on_hyphens=False):
                pieces.append((piece, begins))
                begins = False
            number = ""
    return pieces or [("", True)]


def _best(pieces: list[str], stems: frozenset[str], length: int) -> list[int]:
    """Greedily: the piece that adds most words of the query, as long as one adds any and fits."""
    held = [{_stem(word) for word in _WORD.findall(piece)} & stems for piece in pieces]
    chosen: list[int] = []
    missing, room = set(stems), length
    while missing:
        index = max(range(len(pieces)), key=lambda each: (len(held[each] & missing), -each))
        if not held[index] & missing or (chosen and len(pieces[index]) > room):
            break
        chosen.append(index)
        missing -= held[index]
        room -= len(pieces[index])
    return chosen or [0]


def _neighbours(chosen: list[int], count: int) -> list[int]:
    """What follows the best piece, and then what comes before it."""
    taken = set(chosen)
    best = chosen[0]
    return [
        each for each in [*range(best + 1, count), *range(best - 1, -1, -1)] if each not in taken
    ]


def _stems(query: str) -> frozenset[str]:
    return frozenset(_stem(word) for word in _WORD.findall(query) if word.lower() not in _STRUCTURE)


def _stem(word: str) -> str:
    """Rough: ``bearings`` and ``bearing`` are one word to a reader."""
    lowered = word.lower()
    for ending in _ENDINGS:
        if lowered.endswith(ending) and len(lowered) - len(ending) >= 3:
            return lowered.removesuffix(ending)
    return lowered
