"""Excel workbooks, by openpyxl in its streaming mode: one block per row, labelled by its header.

Not by ``unstructured``, which builds each sheet whole and makes one table of it: measured on
20,000 rows of 6 columns, 6.9 s, 211 MB and one element, against 2.0 s, 47 MB and a block per row.
A page is a sheet; its name is its heading.
"""

import warnings
from collections.abc import Iterable, Iterator
from datetime import date, datetime, time
from pathlib import Path

from openpyxl import load_workbook

from docmill_ingest.blocks import Block, PageCount
from docmill_ingest.extractors import Context, office_archives
from docmill_ingest.extractors.pages import check_page_count
from docmill_ingest.extractors.tables import labelled_rows


def extract(path: Path, context: Context) -> Iterator[Block | PageCount]:
    office_archives.check(path, context.limits)
    # A stream and not the path: openpyxl refuses a path by its extension, and ours may have none.
    with path.open("rb") as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about extensions and styles, which carry no text
        workbook = load_workbook(stream, read_only=True, data_only=True, keep_links=False)
        try:
            sheets = workbook.worksheets
            check_page_count(len(sheets), "sheets", context.limits)
            yield PageCount(len(sheets))
            for page, sheet in enumerate(sheets, start=1):
                # The size that a sheet declares is often wrong, and rows are padded to it.
                sheet.reset_dimensions()
                named = False
                for row in labelled_rows(_cells(sheet.iter_rows(values_only=True))):
                    if not named:
                        yield Block(sheet.title, page, heading_level=1)
                        named = True
                    yield Block(row, page)
        finally:
            workbook.close()


def _cells(rows: Iterable[tuple[object, ...]]) -> Iterator[list[str]]:
    for row in rows:
        yield [_as_shown(value) for value in row]


def _as_shown(value: object) -> str:
    match value:
        case None:
            return ""
        case datetime() if value.time() == time():
            return value.date().isoformat()
        case datetime():
            return value.isoformat(" ", "seconds")
        case date() | time():
            return value.isoformat()
        case float() if value.is_integer() and abs(value) < 1e15:
            return str(int(value))
        case _:
            return str(value)
