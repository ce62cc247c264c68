"""Images: upright, opaque, bounded; OCR in reading order."""

from collections.abc import Callable
from pathlib import Path

import numpy
import pytest
from PIL import Image

from docmill_ingest.blocks import Block, PageCount, PageImage, Piece
from docmill_ingest.extractors import ocr
from docmill_ingest.extractors.image import MAX_SIDE, upright
from docmill_ingest.extractors.ocr import Line
from docmill_ingest.limits import ExtractionLimits
from docmill_shared import media_types as m
from docmill_shared.errors import PermanentError
from docmill_shared.media_types import MediaType
from docmill_shared.states import FailureReason
from tests import documents

Pieces = Callable[..., list[Piece]]
TEXT = "RULES AND INSTRUCTIONS"
PICTURE = documents.picture(TEXT)


@pytest.mark.parametrize(
    ("media_type", "format"),
    [(m.PNG, "PNG"), (m.JPEG, "JPEG"), (m.GIF, "GIF"), (m.WEBP, "WEBP")],
)
def test_ocr_reads_every_format(pieces: Pieces, media_type: MediaType, format: str) -> None:  # noqa: A002
    content = documents.image_bytes(PICTURE, format)
    assert pieces(content, media_type, read_image=ocr.read) == [PageCount(1), Block(TEXT, 1)]


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "RGBA", "CMYK", "I;16"])
def test_every_colour_mode_shows_the_same(mode: str) -> None:
    if mode == "I;16":
        grey = numpy.asarray(PICTURE.convert("L"), dtype=numpy.uint16)
        image = Image.fromarray(grey * 200)
    else:
        image = PICTURE.convert(mode)
    shown = upright(image)
    assert shown.mode == "RGB"
    assert shown.getpixel((5, 5)) == (255, 255, 255)
    assert numpy.asarray(shown).min() < 40


def test_what_is_transparent_is_white() -> None:
    assert upright(Image.new("RGBA", (10, 10), (0, 0, 0, 0))).getpixel((5, 5)) == (255, 255, 255)


def test_the_camera_says_which_side_is_up(pieces: Pieces) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees, clockwise
    content = documents.image_bytes(PICTURE.rotate(90, expand=True), "JPEG", exif=exif)
    assert Block(TEXT, 1) in pieces(content, m.JPEG, read_image=ocr.read)


def test_text_upside_down_is_read_all_the_same() -> None:
    assert ocr.read(PICTURE.rotate(180)) == [TEXT]


def test_an_animation_is_read_frame_by_frame_without_repetition(pieces: Pieces) -> None:
    colours = [Image.new("RGB", (50, 50), colour) for colour in ("red", "green", "blue")]
    content = documents.image_bytes(
        colours[0], "GIF", save_all=True, append_images=colours[1:], duration=100
    )
    reader = iter([["ONE"], ["ONE"], ["TWO"]])
    assert pieces(content, m.GIF, read_image=lambda image: next(reader)) == [
        PageCount(3),
        Block("ONE", 1),
        Block("TWO", 3),
    ]


def test_without_ocr_the_image_is_handed_on_no_larger_than_a_model_wants(pieces: Pieces) -> None:
    content = documents.image_bytes(Image.new("L", (5000, 100), 255))
    _, image = pieces(content, m.PNG)
    assert isinstance(image, PageImage)
    with Image.open(Path(image.path)) as opened:
        assert max(opened.size) == MAX_SIDE


def test_the_size_in_the_header_is_refused_before_a_pixel_is_decoded(pieces: Pieces) -> None:
    _fails(pieces, documents.png_of_claimed_size(60_000, 60_000), FailureReason.TOO_LARGE)
    limits = ExtractionLimits(image_pixels=100)
    _fails(pieces, documents.image_bytes(PICTURE), FailureReason.TOO_LARGE, limits)


def test_a_damaged_image(pieces: Pieces) -> None:
    whole = documents.image_bytes(PICTURE)
    _fails(pieces, whole[: len(whole) // 2], FailureReason.CORRUPT)
    _fails(pieces, documents.png_of_claimed_size(500, 500), FailureReason.CORRUPT)


def test_a_picture_without_text(pieces: Pieces) -> None:
    content = documents.image_bytes(Image.new("RGB", (300, 300), "blue"))
    with pytest.raises(PermanentError) as caught:
        pieces(content, m.PNG, read_image=ocr.read)
    assert caught.value.reason is FailureReason.NO_TEXT


def test_columns_are_read_one_after_the_other() -> None:
    lines = [Line("HEADLINE OVER BOTH", 100, 0, 900, 20)]
    for row in range(4):
        top = 40 + row * 25
        lines.append(Line(f"left {row}", 0, top, 450, top + 20))
        lines.append(Line(f"right {row}", 500, top, 950, top + 20))
    assert ocr.paragraphs(lines) == [
        "HEADLINE OVER BOTH",
        "left 0 left 1 left 2 left 3",
        "right 0 right 1 right 2 right 3",
    ]


def test_the_cells_of_a_table_are_read_row_by_row() -> None:
    lines = []
    for row in range(4):
        top = row * 25
        lines.append(Line(f"key {row}", 0, top, 60, top + 20))
        lines.append(Line(f"value {row}", 300, top, 380, top + 20))
    assert ocr.paragraphs(lines) == [" ".join(f"key {n} value {n}" for n in range(4))]


def test_a_gap_between_lines_ends_a_paragraph() -> None:
    lines = [Line("one", 0, 0, 50, 20), Line("two", 0, 24, 50, 44), Line("three", 0, 90, 50, 110)]
    assert ocr.paragraphs(lines) == ["one two", "three"]


def _fails(
    pieces: Pieces,
    content: bytes,
    reason: FailureReason,
    limits: ExtractionLimits = ExtractionLimits(),  # noqa: B008 - frozen
) -> None:
    with pytest.raises(PermanentError) as caught:
        pieces(content, m.PNG, limits)
    assert caught.value.reason is reason
