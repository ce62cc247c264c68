"""What stands between a draft and its reader: every number leads to a passage, every quote is real.

A model may name passages that it was not given, and quote what nobody wrote. Here numbers without
a passage are taken out, and a quote is shown as it stands in its passage, or not at all.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from docmill_api.answering import Draft, Passage

#: ``[1]``, and also ``[1, 3]``, which models write all the same.
_MARKER = re.compile(r"[ \t]*\[(\d{1,3}(?:[ \t]*[,;][ \t]*\d{1,3})*)\]", re.ASCII)
_WORD = re.compile(r"\w+")
#: A quote of more words than this is longer than any passage; a pattern of it costs for nothing.
_MOST_WORDS = 400


@dataclass(frozen=True, slots=True)
class Citation:
    """A passage that the answer rests on."""

    number: int  #: as in the answer's text
    passage: int  #: its place among the passages, from 0
    quote: str | None  #: words of the passage; None where the draft had none that stand there


@dataclass(frozen=True, slots=True)
class Answer:
    """A checked answer; without citations it says nothing that a passage says."""

    text: str
    citations: Sequence[Citation]


def checked(draft: Draft, passages: Sequence[Passage]) -> Answer:
    """The draft with numbers counted from 1 in the order in which the text names them."""
    places: dict[int, int] = {}

    def renumber(marker: re.Match[str]) -> str:
        named = [int(each) for each in re.findall(r"\d+", marker[1])]
        known = dict.fromkeys(number for number in named if 1 <= number <= len(passages))
        shown = "".join(f"[{places.setdefault(each, len(places) + 1)}]" for each in known)
        return f" {shown}" if shown and marker.start() else shown

    text = _MARKER.sub(renumber, draft.text).replace("] [", "][").strip()
    citations = [
        Citation(number, place - 1, _quote(draft, place, passages[place - 1].text))
        for place, number in places.items()
    ]
    return Answer(text, citations)


def _quote(draft: Draft, place: int, text: str) -> str | None:
    """The longest of the draft's quotes that stands in this passage."""
    found = [
        standing
        for quote in draft.quotes
        if quote.number == place and (standing := standing_in(text, quote.words))
    ]
    return max(found, key=len, default=None)


def standing_in(text: str, words: str) -> str | None:
    """These words as the text has them, in one line; None where it does not have them in a row.

    Case, punctuation and line breaks may differ: models mend those in what they quote.
    """
    sought = _WORD.findall(words)
    if not sought or len(sought) > _MOST_WORDS:
        return None
    pattern = r"\b" + r"\W+".join(map(re.escape, sought)) + r"\b[.!?%°]*"
    found = re.search(pattern, text, re.IGNORECASE)
    return " ".join(found.group().split()) if found else None
