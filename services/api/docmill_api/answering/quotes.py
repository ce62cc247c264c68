"""Answers without a model: of the best passages, the sentences that have most of the question.

Plain on purpose. It says nothing that is not written there word for word, needs no language's
grammar, and costs a millisecond; what is missing is everything that takes understanding.
"""

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from docmill_api.answering import Passage
from docmill_api.answering.citations import Answer, Citation

#: Passages that are quoted at most; a reader looks at no more.
MOST_QUOTES = 3
#: Characters of a quote at most.
LONGEST = 400
#: A passage is quoted if its sentence has this share of the best one's weight.
_NEARLY = 0.75
#: Without this share of the question's weight, a sentence has nothing to do with it.
_ENOUGH = 1 / 3
#: Letters that a word shares with its other forms, if it has so many.
_STEM = 5

_WORD = re.compile(r"\w+")
#: Kana and ideographs, which are written without spaces between words.
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[.!?][\"'”’)\]])\s+|(?<=[。！？])\s*|\n\s*\n\s*")
_END = re.compile(r"[.!?。！？][\"'”’)\]]*$")
#: "1." or "e.g." or "No." ends no sentence.
_NO_END = re.compile(r"(?:^|\s)(?:\d{1,3}|\w{1,2}|\w\.\w)\.$")


@dataclass(frozen=True, slots=True)
class _Sentence:
    passage: int  #: its place among the passages, from 0
    text: str
    weight: int  #: of what it has of the question


def quoted(question: str, passages: Sequence[Passage]) -> Answer:
    """A sentence of the passage that has most of the question, and of those that nearly do.

    ``passages`` are in the order of the search. Without citations where none has enough of it.
    """
    weights = _weights(question)
    best = sorted(
        (_best_sentence(place, passage, weights) for place, passage in enumerate(passages)),
        key=lambda sentence: -sentence.weight,
    )
    enough = max(1, _ENOUGH * sum(weights.values()), _NEARLY * best[0].weight if best else 0)
    chosen: list[_Sentence] = []
    for sentence in best:
        # Passages overlap, so that neighbours may have the same best sentence.
        if sentence.weight >= enough and all(sentence.text != each.text for each in chosen):
            chosen.append(sentence)
    shown = list(enumerate(chosen[:MOST_QUOTES], 1))
    return Answer(
        "\n".join(f"“{sentence.text}” [{number}]" for number, sentence in shown),
        [Citation(number, sentence.passage, sentence.text) for number, sentence in shown],
    )


def _best_sentence(place: int, passage: Passage, weights: dict[str, int]) -> _Sentence:
    # They say what its sentences are about and do not say again.
    headings = [*_words(" ".join(passage.heading_path))]
    found = [
        _Sentence(place, text, _weight([*headings, *_words(text)], weights))
        for text in _sentences(passage)
    ]
    # A passage may begin within a sentence, which is whole in the passage before.
    whole = [each for each in found[1:] if each.weight] if found[0].text[:1].islower() else found
    return max(whole or found, key=lambda sentence: sentence.weight)


def _sentences(passage: Passage) -> list[str]:
    """Its text in pieces of one line each, at most :data:`LONGEST` characters, no word cut.

    A piece is a sentence; where there are none, as in tables, lines, as many as fit. The heading
    that begins the passage belongs to none, unless nothing else is there.
    """
    heading = passage.heading_path[-1] if passage.heading_path else ""
    text = passage.text.strip()
    return list(_pieces(text.removeprefix(heading).strip() or text)) or [text]


def _pieces(text: str) -> Iterator[str]:
    held = ""
    for sentence in _SENTENCE_END.split(text):
        for line in [sentence] if len(sentence) <= LONGEST else sentence.splitlines():
            for piece in textwrap.wrap(" ".join(line.split()), LONGEST, break_on_hyphens=False):
                if held and len(held) + 1 + len(piece) > LONGEST:
                    yield held
                    held = ""
                held = f"{held} {piece}".lstrip()
                # A heading is worth nothing without what follows it.
                if _END.search(held) and not _NO_END.search(held):
                    yield held
                    held = ""
    if held:
        yield held


def _weights(question: str) -> dict[str, int]:
    """What each word of the question counts: the longer it is, the rarer, and the more it tells.

    Zipf's law of abbreviation, which holds in every language that it was looked for in; a list of
    words to leave out would be one language's.
    """
    return {
        word: 2 if _UNSPACED.search(word) else max(len(word) - 2, 0) for word in _words(question)
    }


def _weight(words: Sequence[str], weights: dict[str, int]) -> int:
    """Of the question's words that are among these, perhaps in another form.

    Two forms of a word begin with the same letters; of short ones, one has a letter more. It is
    the plainest stemmer, and one for many languages.
    """
    stems = {word[:_STEM] for word in words}
    one_more = {word[:-1] for word in words if len(word) <= _STEM}
    return sum(
        weight
        for word, weight in weights.items()
        if word[:_STEM] in stems
        or (2 < len(word) < _STEM and word in one_more)
        or (3 < len(word) <= _STEM and word[:-1] in stems)
    )


def _words(text: str) -> Iterator[str]:
    """In small letters; where words have no spaces between them, every two characters."""
    for word in _WORD.findall(text.casefold()):
        if len(word) > 2 and _UNSPACED.search(word):
            yield from (word[start : start + 2] for start in range(len(word) - 1))
        else:
            yield word
