"""OCR by rapidocr: PP-OCR models from its wheel, run by onnxruntime. Nothing is downloaded.

Loading takes about 1.9 s and 350 MB, a full page 3 to 7 s of one core and up to 600 MB more.
"""

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image

#: Lines closer than this many line heights belong to one paragraph.
_PARAGRAPH_GAP = 0.9
#: Text the right way up scores 0.95 and more; the other way round, about 0.6.
_UPSIDE_DOWN = 0.8
#: Columns of text have lines at least this many times as wide as high; cells of a table do not.
_COLUMN_LINE_RATIO = 7


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text where it stands in the image; pixels from the top left corner."""

    text: str
    left: float
    top: float
    right: float
    bottom: float

    @property
    def height(self) -> float:
        return self.bottom - self.top


@cache
def load(threads: int) -> Any:
    """The engine with its three models, loaded and warm; ``threads`` for each image."""
    from PIL import Image, ImageDraw, ImageFont
    from rapidocr import RapidOCR

    engine = RapidOCR(
        params={
            "Global.log_level": "error",
            # It turns lines that it takes for upside down, and is wrong about one long line in
            # fifteen, which then reads as noise (seen on two of four scans).
            "Global.use_cls": False,
            "EngineConfig.onnxruntime.intra_op_num_threads": threads,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
    )
    # Each model is loaded when it is first needed: by a word to find and to read.
    word = Image.new("RGB", (320, 96), "white")
    ImageDraw.Draw(word).text((40, 24), "docmill", "black", ImageFont.load_default(40))
    engine(_pixels(word))
    return engine


def read(image: "Image", threads: int = 1) -> list[str]:
    """The paragraphs in the (RGB) image, columns one after the other."""
    lines, confidence = _lines(image, threads)
    if lines and confidence < _UPSIDE_DOWN:
        turned, better = _lines(image.rotate(180), threads)
        if better > confidence:
            lines = turned
    return paragraphs(lines)


def _lines(image: "Image", threads: int) -> tuple[list[Line], float]:
    """The lines in the image, and how sure the engine is of them, from 0 to 1."""
    result = load(threads)(_pixels(image))
    if result.txts is None:
        return [], 0.0
    lines = []
    for text, box in zip(result.txts, result.boxes, strict=True):
        xs, ys = [float(x) for x, _ in box], [float(y) for _, y in box]
        lines.append(Line(str(text), min(xs), min(ys), max(xs), max(ys)))
    return lines, sum(map(float, result.scores)) / len(lines)


def _pixels(image: "Image") -> Any:
    import numpy

    return numpy.asarray(image)[:, :, ::-1]  # OpenCV, and so rapidocr, has blue first


def paragraphs(lines: list[Line]) -> list[str]:
    """Lines in reading order, joined where they are close together."""
    if not lines:
        return []
    if (columns := _columns(lines)) is not None:
        return [text for column in columns for text in paragraphs(column)]
    height = median(line.height for line in lines)
    rows = _rows(lines)
    result = [_join(rows[0])]
    for above, row in pairwise(rows):
        gap = min(line.top for line in row) - max(line.bottom for line in above)
        if gap < height * _PARAGRAPH_GAP:
            result[-1] += " " + _join(row)
        else:
            result.append(_join(row))
    return result


def _columns(lines: list[Line]) -> list[list[Line]] | None:
    """The lines left and right of a gap that runs through all of them, or what is above and below
    a line that spans such a gap; None when this is one column.
    """
    if len(lines) < 6:
        return None
    height = median(line.height for line in lines)
    if (parts := _gutter(lines, height)) is not None:
        return parts
    # A headline or a footer over two columns hides the gap: try without it.
    ordered = sorted(lines, key=lambda line: line.top)
    for cut in range(1, min(4, len(ordered) - 5)):
        if (parts := _gutter(ordered[cut:], height)) is not None:
            return [ordered[:cut], *parts]
        if (parts := _gutter(ordered[:-cut], height)) is not None:
            return [*parts, ordered[-cut:]]
    return None


def _gutter(lines: list[Line], height: float) -> list[list[Line]] | None:
    ordered = sorted(lines, key=lambda line: line.left)
    edge = ordered[0].right
    for index, line in enumerate(ordered[1:], start=1):
        if line.left - edge > height * 0.7:
            parts = [ordered[:index], ordered[index:]]
            if all(len(part) >= 3 and _is_prose(part) for part in parts):
                return parts
        edge = max(edge, line.right)
    return None


def _is_prose(lines: list[Line]) -> bool:
    return median((line.right - line.left) / max(line.height, 1) for line in lines) >= (
        _COLUMN_LINE_RATIO
    )


def _rows(lines: list[Line]) -> list[list[Line]]:
    """Lines side by side in one row, rows from top to bottom."""
    rows: list[list[Line]] = []
    for line in sorted(lines, key=lambda line: (line.top + line.bottom) / 2):
        middle = (line.top + line.bottom) / 2
        if rows and middle < min(other.bottom for other in rows[-1]):
            rows[-1].append(line)
        else:
            rows.append([line])
    return rows


def _join(row: list[Line]) -> str:
    return " ".join(line.text for line in sorted(row, key=lambda line: line.left))
