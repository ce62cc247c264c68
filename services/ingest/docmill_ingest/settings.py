"""What an ingest worker can be told."""

from datetime import timedelta
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from docmill_ingest.limits import ExtractionLimits
from docmill_shared.settings import (
    DatabaseSettings,
    OwnerQuotaSettings,
    ProviderSettings,
    ServiceSettings,
)


class IngestSettings(DatabaseSettings, ServiceSettings, OwnerQuotaSettings, ProviderSettings):
    """The settings of the ingest service."""

    chunk_characters: int = Field(
        1_000, ge=100, le=8_000, description="Length of a passage, in characters."
    )
    chunk_overlap: int = Field(
        200, ge=0, le=4_000, description="What neighbouring passages share, in characters."
    )
    embedding_concurrency: int = Field(
        4, ge=1, le=64, description="Batches of one file that are with the provider at once."
    )
    vision_model: str = Field(
        "gemini-2.5-flash-lite",
        description="Gemini's model that reads images and scanned pages; local is OCR.",
    )

    lease_seconds: int = Field(
        30,
        ge=3,
        le=600,
        description="How long a dead worker's file stays its own; renewed three times as often.",
    )
    shutdown_grace_seconds: float = Field(
        15.0,
        ge=0,
        description="On SIGTERM, how long a running file may still take before it goes back to "
        "the queue. Keep it below the orchestrator's grace period.",
    )
    max_attempts: int = Field(
        3, ge=1, le=20, description="Attempts before a file with transient errors has FAILED."
    )
    retry_seconds: float = Field(
        5.0, gt=0, description="Wait before the second attempt; doubled for each one after it."
    )
    quota_patience_hours: float = Field(
        24.0, gt=0, description="How long a file may wait for a provider's quota altogether."
    )

    work_directory: Path | None = Field(
        None, description="Where files are worked on; the system's temporary folder if not set."
    )
    extraction_seconds: float = Field(
        300.0, gt=0, description="Longest extraction of one file, without OCR."
    )
    extraction_memory_bytes: int = Field(
        2 * 1024**3, ge=64 * 1024**2, description="Memory that the extraction of one file may add."
    )
    extraction_pages: int = Field(5_000, ge=1, description="Most pages of one file.")
    extraction_scanned_pages: int = Field(
        500, ge=0, description="Most pages of one file that are read by OCR or the vision model."
    )
    extraction_scanned_page_seconds: float = Field(
        20.0, ge=0, description="What each page read by OCR adds to EXTRACTION_SECONDS."
    )
    extraction_ocr_threads: int = Field(
        2, ge=1, le=64, description="Cores that OCR of one page may use."
    )
    extraction_characters: int = Field(
        200_000_000, ge=1_000, description="Most characters of text of one file."
    )
    extraction_unpacked_bytes: int = Field(
        512 * 1024**2, ge=1024**2, description="DOCX, PPTX, XLSX: most bytes after unpacking."
    )
    extraction_image_pixels: int = Field(
        100_000_000, ge=1_000_000, description="Most pixels of one image."
    )
    extraction_attachment_depth: int = Field(
        3, ge=0, le=20, description="Deepest e-mail within an e-mail that is read."
    )

    @model_validator(mode="after")
    def _overlap_fits(self) -> Self:
        if self.chunk_overlap * 2 > self.chunk_characters:
            raise ValueError("CHUNK_OVERLAP is wrong: it must be at most half of CHUNK_CHARACTERS")
        return self

    @property
    def lease(self) -> timedelta:
        """The lease's length."""
        return timedelta(seconds=self.lease_seconds)

    @property
    def limits(self) -> ExtractionLimits:
        """The bounds of one extraction."""
        return ExtractionLimits(
            seconds=self.extraction_seconds,
            memory_bytes=self.extraction_memory_bytes,
            pages=self.extraction_pages,
            scanned_pages=self.extraction_scanned_pages,
            scanned_page_seconds=self.extraction_scanned_page_seconds,
            characters=self.extraction_characters,
            unpacked_bytes=self.extraction_unpacked_bytes,
            image_pixels=self.extraction_image_pixels,
            attachment_depth=self.extraction_attachment_depth,
        )
