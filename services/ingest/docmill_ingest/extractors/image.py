"""JPEG, PNG, GIF, WEBP: upright, opaque and of a sensible size, then OCR or the vision model."""

from collections.abc import Iterator
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from docmill_ingest.blocks import Block, PageCount, PageImage
from docmill_ingest.extractors import Context
from docmill_ingest.extractors.pages import save
from docmill_shared.errors import PermanentError
from docmill_shared.states import FailureReason

#: OCR scales to 2,000 pixels and vision models to fewer: what is beyond only costs memory.
MAX_SIDE = 2_400
#: Of an animation, this many frames are read, evenly spread.
_MAX_FRAMES = 8
#: Pillow's own check would warn first and fail later; ours is below, on the header.
Image.MAX_IMAGE_PIXELS = None


def extract(path: Path, context: Context) -> Iterator[Block | PageCount | PageImage]:
    """Pages are frames; a frame that reads like the one before it is left out.

    Raises PermanentError: TOO_LARGE by the size in the header, before a pixel is decoded; CORRUPT.
    """
    _check_size(*_webp_canvas(path), context)
    try:
        with Image.open(path) as image:
            _check_size(*image.size, context)
            image.draft("RGB", (MAX_SIDE, MAX_SIDE))  # a JPEG is decoded at a fraction
            total: int = getattr(image, "n_frames", 1)
            yield PageCount(total)
            step = -(-total // min(_MAX_FRAMES, max(1, context.limits.scanned_pages)))
            before: list[str] = []
            for frame in range(0, total, step):
                image.seek(frame)
                context.count_picture()
                picture = upright(image)
                if context.read_image is None:
                    yield save(picture, context.work_directory, frame + 1)
                    break  # one picture describes an animation well enough for its price
                texts = context.read_image(picture)
                if texts != before:
                    for text in texts:
                        yield Block(text, frame + 1)
                before = texts
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError) as error:
        raise PermanentError(
            FailureReason.CORRUPT,
            "The image is damaged or was cut off during a transfer; save it again and upload "
            "the new copy.",
        ) from error


def _webp_canvas(path: Path) -> tuple[int, int]:
    """The size of a WEBP's canvas, or (0, 0): Pillow allocates it before it can be asked.

    https://developers.google.com/speed/webp/docs/riff_container, "Extended File Format".
    """
    with path.open("rb") as stream:
        head = stream.read(30)
    if len(head) < 30 or head[:4] != b"RIFF" or head[8:16] != b"WEBPVP8X":
        return 0, 0
    return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1


def _check_size(width: int, height: int, context: Context) -> None:
    if width * height > context.limits.image_pixels:
        raise PermanentError(
            FailureReason.TOO_LARGE,
            f"The image has {width:,} x {height:,} pixels; at most "
            f"{context.limits.image_pixels / 1e6:,.0f} million are read. Scale it down.",
        )


def upright(image: Image.Image) -> Image.Image:
    """The image as RGB on white, turned as its camera says, at most MAX_SIDE in each direction."""
    if image.mode.startswith("I") or image.mode == "F":  # 16 bits a pixel and more
        image = _eight_bits(image)
    elif image.mode not in {"RGB", "L"}:
        image = image.convert("RGBA")
    image = ImageOps.exif_transpose(image)
    image.thumbnail((MAX_SIDE, MAX_SIDE))
    if image.mode == "RGBA":
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey values stretched over 0 to 255; a plain conversion would cut everything to white."""
    import numpy

    values = numpy.asarray(image, dtype=numpy.float32)
    low, high = float(values.min()), float(values.max())
    scaled = (values - low) * (255.0 / max(high - low, 1.0))
    return Image.fromarray(scaled.astype(numpy.uint8))
