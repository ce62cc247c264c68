"""The chunker: invariants over random documents, and where it cuts."""

import random
import string

import pytest

from docmill_ingest.blocks import Block
from docmill_ingest.chunker import SEPARATOR, Chunker


def document(seed: int) -> list[Block]:
    """A random document: headings, paragraphs of sentences, tables, very long words."""
    rng = random.Random(seed)
    blocks = []
    page = 1
    for _ in range(rng.randint(1, 60)):
        page += rng.random() < 0.2
        kind = rng.random()
        if kind < 0.15:
            blocks.append(Block(f"Heading {rng.randint(1, 99)}", page, rng.randint(1, 3)))
        elif kind < 0.2:
            blocks.append(Block("".join(rng.choices(string.ascii_letters, k=1500)), page))
        else:
            words = [
                "".join(rng.choices(string.ascii_lowercase, k=rng.randint(1, 12)))
                for _ in range(rng.randint(1, 400))
            ]
            ends = rng.choice([". ", " ", "\n", "? ", "。"])
            blocks.append(Block(ends.join(words), page))
    return blocks


@pytest.mark.parametrize("seed", range(60))
def test_invariants(seed: int) -> None:
    blocks = document(seed)
    text = SEPARATOR.join(block.text.strip() for block in blocks)
    size, overlap = 1000, 200

    slices = list(Chunker(size, overlap).cut(blocks))

    covered = 0
    for before, piece in zip([None, *slices], slices, strict=False):
        assert piece.text == text[piece.char_start : piece.char_end]
        assert piece.text == piece.text.strip() != ""
        assert len(piece.text) <= size
        assert not text[covered : piece.char_start].strip(), "nothing is lost between passages"
        if before is not None:
            assert piece.char_start > before.char_start
            assert before.char_end - piece.char_start <= overlap
        covered = piece.char_end
    assert covered == len(text)


@pytest.mark.parametrize("seed", range(20))
def test_never_inside_a_word(seed: int) -> None:
    blocks = [block for block in document(seed) if len(block.text.split()[0]) < 500]
    text = SEPARATOR.join(block.text.strip() for block in blocks)
    for piece in Chunker(1000, 200).cut(blocks):
        before, after = text[: piece.char_start][-1:], text[piece.char_end :][:1]
        for outside, inside in ((before, piece.text[0]), (after, piece.text[-1])):
            at_edge = not outside or outside.isspace() or outside == "。" or inside == "。"
            assert at_edge, (outside, inside)


def test_cuts_before_headings_and_carries_their_path() -> None:
    body = "It is so. " * 60
    slices = list(
        Chunker(1000, 200).cut(
            [
                Block("Handbook", 1, 1),
                Block("Care", 1, 2),
                Block(body, 1),
                Block("Repair", 2, 2),
                Block(body, 3),
            ]
        )
    )
    assert [piece.heading_path for piece in slices] == [
        ("Handbook",),
        ("Handbook", "Repair"),
    ]
    assert slices[1].text.startswith("Repair")
    assert (slices[0].page_start, slices[0].page_end) == (1, 1)
    assert (slices[1].page_start, slices[1].page_end) == (2, 3)


def test_a_long_paragraph_is_cut_after_sentences() -> None:
    slices = list(Chunker(1000, 200).cut([Block("The gauge reads true. " * 200)]))
    assert len(slices) > 3
    assert all(piece.text.endswith("true.") for piece in slices)
    assert all(piece.text.startswith("The gauge") for piece in slices)


def test_memory_does_not_grow_with_the_document() -> None:
    chunker = Chunker(1000, 200)
    longest = 0
    for _ in chunker.cut(Block("word " * 100, page) for page in range(2_000)):
        longest = max(longest, len(chunker._text), 100 * len(chunker._marks))
    assert longest < 10_000


def test_no_blocks_no_passages() -> None:
    assert list(Chunker(1000, 200).cut([Block("  \n")])) == []
