"""Answers without a model: which sentences are quoted, and that they are written there."""

import time
import timeit

import pytest

from docmill_api.answering import Passage
from docmill_api.answering.quotes import LONGEST, MOST_QUOTES, quoted


def passage(text: str, *headings: str) -> Passage:
    return Passage("a.txt", None, None, headings, text)


def test_the_sentence_that_has_most_of_the_question_is_quoted() -> None:
    found = [
        passage("The station is old. Without sun, a full battery lasts ten days. Then it stops.")
    ]

    answer = quoted("How long does the battery last without sun?", found)

    assert answer.text == "“Without sun, a full battery lasts ten days.” [1]"
    [citation] = answer.citations
    assert (citation.number, citation.passage) == (1, 0)
    assert citation.quote == "Without sun, a full battery lasts ten days."


def test_the_passage_that_has_most_comes_first_and_others_if_they_nearly_have_as_much() -> None:
    found = [
        passage("Nothing of this is about what was asked, although it was found first."),
        passage("The wind vane has bearings which last for years and years and years."),
        passage("Replace the bearings of the wind vane in spring, never in the autumn."),
        passage("The colour of the vane is grey, and nobody has ever complained of it."),
    ]

    answer = quoted("When do I replace the bearings of the wind vane?", found)

    assert [each.passage for each in answer.citations] == [2]
    answer = quoted("bearings of the wind vane", found)
    assert [each.passage for each in answer.citations] == [1, 2]
    assert answer.text.splitlines()[1].endswith("” [2]")


def test_no_more_than_a_reader_looks_at() -> None:
    found = [passage(f"The battery number {number} lasts for ten days.") for number in range(9)]

    assert len(quoted("battery", found).citations) == MOST_QUOTES


def test_the_same_sentence_is_quoted_once() -> None:
    twice = "Without sun, a full battery lasts ten days."
    found = [passage(f"Something before it stands here. {twice}"), passage(f"{twice} And so on.")]

    assert len(quoted("How long does the battery last?", found).citations) == 1


@pytest.mark.parametrize(
    "question", ["???", "zebra", "今何時ですか", "a", "zxqv the blorf", "Is it the hygrometer?"]
)
def test_what_has_hardly_a_word_of_the_question_is_not_quoted(question: str) -> None:
    found = [passage("It runs for the forty hours. Then it rests."), passage("一二三。")]

    answer = quoted(question, found)

    assert (answer.text, answer.citations) == ("", [])
    assert not quoted(question, []).citations


@pytest.mark.parametrize(
    ("question", "sentence"),
    [
        ("How long does the battery last?", "The battery lasts ten days."),
        ("Where are the cups?", "The cup of the anemometer is outside."),
        ("Wo wurde der Verein gegründet?", "Die Vereine wurden 1902 gegründet."),
        ("¿Dónde están las baterías?", "La batería está en la caja."),
        ("도서관 어디", "도서관은 언덕 위에 있다."),
        ("図書館はどこですか", "町の図書館は丘の上にある。"),
    ],
)
def test_words_are_known_in_their_other_forms(question: str, sentence: str) -> None:
    found = [passage("Nothing of this is of any use to anybody."), passage(sentence)]

    assert [each.quote for each in quoted(question, found).citations] == [sentence]


def test_a_heading_says_what_its_passage_is_about_and_is_not_quoted() -> None:
    heading = "4.1 How long the battery lasts"
    found = [passage(f"{heading}\nA full one goes on for ten days.", "4 Power", heading)]

    answer = quoted("How long does the battery last?", found)

    assert answer.text == "“A full one goes on for ten days.” [1]"


def test_a_sentence_that_began_in_another_passage_gives_way_to_a_whole_one() -> None:
    found = [passage("battery of the mast, and battery again. The battery lasts for ten days.")]

    assert quoted("battery of the mast", found).text == "“The battery lasts for ten days.” [1]"


def test_abbreviations_and_numbers_end_no_sentence() -> None:
    found = [passage("Use oil of type no. 5 for it, e.g. for the bearings of the mast. Then wait.")]

    whole = "Use oil of type no. 5 for it, e.g. for the bearings of the mast."
    assert quoted("Which oil for the bearings?", found).citations[0].quote == whole


@pytest.mark.parametrize(
    "text",
    [
        "word " * 500,
        "word" * 500,
        "\n".join(f"Team: {number} | Cups: {number}" for number in range(100)),
        "一二三四五。" * 200,
    ],
)
def test_a_quote_is_short_and_stands_in_the_passage(text: str) -> None:
    [citation] = quoted(text[:9], [passage(text)]).citations

    assert citation.quote
    assert len(citation.quote) <= LONGEST
    assert citation.quote in " ".join(text.split())


def test_what_stands_far_behind_in_a_line_without_an_end_is_found() -> None:
    found = [passage("nothing of use " * 100 + "the battery lasts ten days")]

    [citation] = quoted("How long does the battery last?", found).citations

    assert citation.quote
    assert citation.quote.endswith("the battery lasts ten days")


def test_a_blank_passage_is_no_answer() -> None:
    assert not quoted("battery", [passage(" ")]).citations


def test_many_words_cost_little_whatever_they_are() -> None:
    """Ten times the words of a question cost less than five times as much: no word of it is
    compared with every word of the passages."""
    found = [passage(" ".join(f"w{each}{word}x" for word in range(500))) for each in range(20)]

    def cost(words: int) -> float:
        question = " ".join(f"{word:03}q" for word in range(words))
        # Of this thread alone: others may be busy on this machine
        timer = time.thread_time
        return min(timeit.repeat(lambda: quoted(question, found), timer, number=1, repeat=3))

    assert cost(300) < 5 * cost(30)
