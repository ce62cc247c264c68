"""CSV: one block per row, each with the labels of its columns, streamed."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from docmill_ingest.blocks import Block
from docmill_ingest.extractors import Context
from docmill_ingest.extractors.charsets import open_text
from docmill_ingest.extractors.tables import labelled_rows
from docmill_shared.errors import PermanentError
from docmill_shared.states import FailureReason

_SAMPLE_CHARACTERS = 16 * 1024
_DELIMITERS = ",;\t|"
#: One cell may be an article; a cell beyond this is a quote that was never closed.
_MAX_CELL_CHARACTERS = 4 * 1024**2


def extract(path: Path, context: Context) -> Iterator[Block]:
    csv.field_size_limit(_MAX_CELL_CHARACTERS)
    with open_text(path, newline="") as stream:
        delimiter = _delimiter(stream.read(_SAMPLE_CHARACTERS))
        stream.seek(0)
        try:
            for row in labelled_rows(csv.reader(_clean_lines(stream), delimiter=delimiter)):
                yield Block(row)
        except csv.Error as error:
            raise PermanentError(
                FailureReason.CORRUPT,
                f"The CSV file cannot be read ({error}), probably for a quotation mark that is "
                "never closed; correct it and upload it again.",
            ) from error


def _clean_lines(stream: TextIO) -> Iterator[str]:
    # The bound is that of a cell: a longer line cannot be a row that csv would accept.
    while line := stream.readline(_MAX_CELL_CHARACTERS):
        yield line.replace("\0", "")


def _delimiter(sample: str) -> str:
    """The mark that parts the cells: the one that cuts the first lines most, and most evenly.

    csv.Sniffer is not asked: it takes quadratic time on some samples, and a letter for a mark
    on others.
    """
    lines = [line for line in sample.splitlines()[:20] if line.strip()]
    counts = {mark: [line.count(mark) for line in lines] for mark in _DELIMITERS}
    best = max(_DELIMITERS, key=lambda mark: (_least(counts[mark]), sum(counts[mark])))
    return best if sum(counts[best]) else ","


def _least(counts: list[int]) -> int:
    # The last line of the sample may be cut, and a title line above the table has no marks.
    inner = sorted(counts)[len(counts) // 4 :]
    return inner[0] if inner else 0
