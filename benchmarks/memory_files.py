"""The four large files of ``benchmarks.memory``, written to disk and never whole in memory there
where that matters.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from docmill_shared import media_types as m
from docmill_shared.media_types import MediaType
from tests import documents

_WORDS = tuple(f"{start}{end}" for start in ("har", "win", "mea", "ri") for end in ("vest", "ter"))


@dataclass(frozen=True)
class LargeFile:
    """``expected``: the status that it must end in."""

    name: str
    media_type: MediaType
    write: Callable[[Path], None]
    expected: str = "COMPLETED"


def large_files(scale: float) -> tuple[LargeFile, ...]:
    """The files; ``scale`` below 1 makes all of them smaller."""
    pages, rows, megabytes = int(2_000 * scale), int(50_000 * scale), int(200 * scale)
    side = int(10_000 * scale**0.5)
    return (
        LargeFile(f"{pages:,}-page PDF", m.PDF, partial(_pdf, pages)),
        LargeFile(f"{rows:,}-row XLSX", m.XLSX, partial(_sheet, rows)),
        LargeFile(f"{side**2 / 1e6:,.0f}-megapixel PNG", m.PNG, partial(_png, side)),
        LargeFile(f"{megabytes} MB of text", m.TEXT, partial(write_text, megabytes)),
    )


def write_text(megabytes: int, path: Path) -> None:
    """Text of which no two paragraphs are the same."""
    left = megabytes * 1024**2
    with path.open("w") as stream:
        for paragraph in _paragraphs():
            stream.write(paragraph[:left])
            left -= len(paragraph)
            if left <= 0:
                return


def _paragraphs() -> Iterator[str]:
    choose = random.Random(3)  # noqa: S311 - no secret
    number = 0
    while True:
        words = " ".join(choose.choices(_WORDS, k=90))
        yield f"Entry {number}. {words} {choose.random()}.\n\n"
        number += 1


def _pdf(pages: int, path: Path) -> None:
    paragraphs = _paragraphs()
    texts = []
    for number in range(pages):
        words = f"Page {number}. {next(paragraphs)} {next(paragraphs)}".split()
        lines = [" ".join(words[start : start + 10]) for start in range(0, len(words), 10)]
        texts.append("\n".join(lines))
    path.write_bytes(documents.pdf(*texts))


def _sheet(rows: int, path: Path) -> None:
    header = ["Number", "Name", "City", "Harvest", "Year", "Remark"]
    body = [
        [n, f"Farm {n}", f"City {n % 700}", n * 3.5, 1900 + n % 120, "good"] for n in range(rows)
    ]
    path.write_bytes(documents.excel(Data=[header, *body]))


def _png(side: int, path: Path) -> None:
    """Text and noise: a picture that does not pack well."""
    image = Image.effect_noise((side, side), 12).convert("RGB")
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(side // 40)
    for line in range(12):
        draw.text(
            (side // 20, side // 20 * (line + 1)), f"Harvest of the year {1900 + line}", 0, font
        )
    image.save(path, "PNG", compress_level=1)
