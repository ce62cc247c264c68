"""Rows of cells, written so that each can be understood far below its header.

Used by every format that has tables: ``Team: Maple Leafs | City: Toronto`` is found by a search
for either, and says what the words mean; ``Maple Leafs | Toronto`` does neither.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

_NUMBER = re.compile(r"[\s(]*[-+]?[^\w\s]?\s*\d[\d.,\s:/%-]*[^\w\s]?[)\s]*")
_MAX_HEADER_CHARACTERS = 80


def labelled_rows(rows: Iterable[Sequence[str]], *, least_columns: int = 2) -> Iterator[str]:
    """One line of text per row that has any.

    The first row with at least ``least_columns`` cells, all of them short words and no two alike,
    labels the rows below it, until a blank row ends the table. Rows before it (a title) and
    tables without such a row are written as they are.
    """
    header: Sequence[str] = ()
    below = False  # whether the header has labelled a row by now
    decided = False
    for row in rows:
        cells = [" ".join(cell.split()) for cell in row]
        filled = [cell for cell in cells if cell]
        if not filled:
            if header and not below:
                yield " | ".join(cell for cell in header if cell)
            header, below, decided = (), False, False
        elif header:
            below = True
            yield " | ".join(_labelled(header, cells))
        elif not decided and len(filled) >= least_columns:
            decided = True
            if _is_header(filled):
                header = cells
            else:
                yield " | ".join(filled)
        else:
            yield " | ".join(filled)
    if header and not below:
        yield " | ".join(cell for cell in header if cell)


def _labelled(header: Sequence[str], cells: Sequence[str]) -> Iterator[str]:
    for column, cell in enumerate(cells):
        if cell:
            label = header[column] if column < len(header) else ""
            yield f"{label}: {cell}" if label and label != cell else cell


def _is_header(filled: Sequence[str]) -> bool:
    return len(set(filled)) == len(filled) and all(
        len(cell) <= _MAX_HEADER_CHARACTERS and not _NUMBER.fullmatch(cell) for cell in filled
    )
