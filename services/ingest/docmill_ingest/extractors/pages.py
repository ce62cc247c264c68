"""What every format with pages has in common: the bound on their number, and their pictures."""

from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from docmill_ingest.blocks import PageImage
from docmill_ingest.limits import ExtractionLimits
from docmill_shared.errors import PermanentError
from docmill_shared.states import FailureReason

if TYPE_CHECKING:
    from PIL.Image import Image


def check_page_count(count: int, unit: str, limits: ExtractionLimits) -> None:
    """Raises PermanentError(TOO_MANY_PAGES); ``unit`` is what this format calls its pages."""
    if count > limits.pages:
        raise PermanentError(
            FailureReason.TOO_MANY_PAGES,
            f"The document has {count:,} {unit}; at most {limits.pages:,} are read. Split it.",
        )


def save(image: "Image", folder: Path, page: int | None) -> PageImage:
    """Write the (RGB) picture of a page for the vision model."""
    path = folder / f"{uuid4().hex}.jpg"
    image.save(path, quality=85)
    return PageImage(str(path), "image/jpeg", page)
