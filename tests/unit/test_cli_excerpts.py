"""What is shown of a passage."""

from docmill_dev.excerpts import excerpt, matches

PASSAGE = (
    "Without sun, a full battery lasts ten days. The bank holds 200 ampere-hours. "
    + "It is charged by two panels. " * 12
    + "\n\nWhat is switched off first is the heating."
)


def test_excerpt_shows_every_part_that_answers_in_the_order_of_the_passage() -> None:
    shown = excerpt(PASSAGE, "What is switched off first, how long does a battery last?", 120)

    assert shown.startswith("Without sun, a full battery lasts ten days.")
    assert "ten days. … " in shown
    assert shown.endswith("\nWhat is switched off first is the heating.")


def test_excerpt_goes_on_with_what_follows_the_answer() -> None:
    assert "The bank holds 200" in excerpt(PASSAGE, "battery", 120)


def test_excerpt_without_a_question_is_the_beginning() -> None:
    assert excerpt(PASSAGE, "", 80) == (
        "Without sun, a full battery lasts ten days. The bank holds 200 ampere-hours. …"
    )


def test_a_paragraph_begins_a_line() -> None:
    assert excerpt("A heading\n\nThe text below it.", "heading") == "A heading\nThe text below it."


def test_a_number_stays_with_what_it_counts() -> None:
    assert excerpt("6. Soil is wet. 7. Rain is rare.", "rain", 16) == "… 7. Rain is rare."


def test_a_table_without_sentences_is_cut_to_length() -> None:
    row = " | ".join(f"column_{number}: {number}" for number in range(100))

    assert 40 < len(excerpt(row, "column_57", 60)) < 80


def test_an_empty_passage_has_an_empty_excerpt() -> None:
    assert excerpt("", "anything") == ""


def test_forms_of_a_word_match_and_little_words_do_not() -> None:
    line = "Replace both bearings of the cup."

    found = [line[start:end] for start, end in matches(line, "replacing the bearing of a Cup")]

    assert found == ["Replace", "bearings", "cup"]
