"""Citations: no number without a passage, no quote that is not written there."""

import time
import timeit
from functools import partial

import pytest

from docmill_api.answering import Draft, Passage, Quote
from docmill_api.answering.citations import checked, standing_in


def passages(*texts: str) -> list[Passage]:
    return [Passage("a.txt", None, None, [], text) for text in texts]


@pytest.mark.parametrize(
    ("written", "text", "cited"),
    [
        ("It lasts ten days [2].", "It lasts ten days [1].", [1]),
        ("One [3]. Two [1]. One again [3].", "One [1]. Two [2]. One again [1].", [2, 0]),
        ("Both [1, 3] and [2; 2].", "Both [1][2] and [3].", [0, 2, 1]),
        ("Both [1] [2].", "Both [1][2].", [0, 1]),
        ("Known[1] and not [9] or [0].", "Known [1] and not or.", [0]),
        ("[2] says so.", "[1] says so.", [1]),
        ("Half [1, 99].", "Half [1].", [0]),
        ("As in [RFC 9457] and [note].", "As in [RFC 9457] and [note].", []),
        ("None at all.", "None at all.", []),
        ("Far too long [1234].", "Far too long [1234].", []),
        ("Not ours [٢].", "Not ours [٢].", []),
    ],
)
def test_markers_count_from_one_and_lead_to_passages(
    written: str, text: str, cited: list[int]
) -> None:
    answer = checked(Draft(True, written, []), passages("one", "two", "three"))

    assert answer.text == text
    assert [each.passage for each in answer.citations] == cited
    assert [each.number for each in answer.citations] == list(range(1, len(cited) + 1))


def test_a_quote_is_shown_as_its_passage_has_it() -> None:
    found = passages("Without sun,\n a full battery\tlasts “ten” days. Then it stops.")
    draft = Draft(True, "Ten days [1].", [Quote(1, 'without sun, a full battery lasts "ten" days')])

    [citation] = checked(draft, found).citations

    assert citation.quote == "Without sun, a full battery lasts “ten” days."


def test_a_quote_that_nobody_wrote_is_left_out() -> None:
    found = passages("A full battery lasts ten days.", "The fan is switched off first.")
    invented = [
        Quote(1, "A full battery lasts twenty days."),
        Quote(1, "battery last"),
        Quote(1, "The fan is switched off"),
        Quote(1, " … "),
        Quote(7, "A full battery"),
    ]

    first, second = checked(Draft(True, "Ten [1]. The fan [2].", invented), found).citations

    assert (first.quote, second.quote) == (None, None)


def test_the_longest_quote_of_a_passage_counts() -> None:
    found = passages("A full battery lasts ten days.")
    quotes = [Quote(1, "full battery"), Quote(1, "a full battery lasts ten"), Quote(1, "days")]

    [citation] = checked(Draft(True, "Ten [1].", quotes), found).citations

    assert citation.quote == "A full battery lasts ten"


def test_signs_in_a_quote_are_no_pattern() -> None:
    assert standing_in("It costs 5 (five).", ".*") is None
    assert standing_in("It costs 5 (five).", "costs (5) [five]") == "costs 5 (five"
    assert standing_in("aaa", "a+") is None


def test_looking_for_a_quote_costs_little_whatever_it_is() -> None:
    """As much as a passage of its length without anything in common, give or take."""

    def cost(text: str, words: str) -> float:
        # Of this thread alone, and the least: others may be busy on this machine
        look = partial(standing_in, text, words)
        return min(timeit.repeat(look, timer=time.thread_time, number=1, repeat=3))

    plain = cost("x " * 20_000, "y " * 399 + "z")
    hostile = cost("y " * 20_000, "y " * 399 + "z")
    spaces = cost(("y" + " " * 50) * 800, "y " * 399 + "z")
    assert max(hostile, spaces) < 2_000 * plain
