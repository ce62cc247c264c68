"""Extraction inside the test process, for documents that mean no harm."""

from collections.abc import Callable
from pathlib import Path

import pytest

from docmill_ingest import extractors
from docmill_ingest.blocks import Block, Piece
from docmill_ingest.extractors import Context
from docmill_ingest.limits import ExtractionLimits
from docmill_shared.media_types import MediaType

Extract = Callable[..., list[Piece]]


@pytest.fixture
def pieces(tmp_path: Path) -> Extract:
    """What an extractor yields for some bytes."""

    def run(
        content: bytes | str,
        media_type: MediaType,
        limits: ExtractionLimits = ExtractionLimits(),  # noqa: B008 - frozen
        read_image: extractors.ImageReader | None = None,
    ) -> list[Piece]:
        path = tmp_path / "document"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return list(extractors.extract(path, media_type, Context(limits, tmp_path, read_image)))

    return run


@pytest.fixture
def blocks(pieces: Extract) -> Callable[..., list[Block]]:
    """Its blocks alone."""

    def run(*arguments: object, **named: object) -> list[Block]:
        return [piece for piece in pieces(*arguments, **named) if isinstance(piece, Block)]

    return run
