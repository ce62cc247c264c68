"""Gemini's image reader against the emulator."""

from collections.abc import Iterator
from typing import Any

import pytest

from docmill_shared.errors import (
    ConfigurationError,
    PermanentError,
    ProviderUnavailable,
    RateLimited,
)
from docmill_shared.states import FailureReason
from docmill_shared.vision import ImageReader, build_image_reader
from tests.fakes.gemini_emulator import GeminiEmulator

PNG = b"\x89PNG\r\n\x1a\n and the rest"


@pytest.fixture
def emulator() -> Iterator[GeminiEmulator]:
    with GeminiEmulator() as emulator:
        yield emulator


@pytest.fixture
def reader(emulator: GeminiEmulator) -> Iterator[ImageReader]:
    reader = build_image_reader(api_key=emulator.api_key, base_url=emulator.base_url, timeout=20)
    yield reader
    reader.close()
    reader.close()


def test_an_image_becomes_text(emulator: GeminiEmulator, reader: ImageReader) -> None:
    emulator.control(answer="  INVOICE 42\n\nImage: a scanned invoice.\n")

    assert reader.read(PNG, "image/png") == "INVOICE 42\n\nImage: a scanned invoice."

    stats = emulator.stats()
    assert (stats["images"], stats["calls_by_method"]) == (1, {"generateContent": 1})
    assert reader.model == "gemini-2.5-flash-lite"


@pytest.mark.parametrize(
    "faults",
    [
        {"block_next": 1, "block_in": "prompt"},
        {"block_next": 1, "block_in": "candidate"},
        {"answer": "  \n"},
        {"fail_next": 1, "fail_status": 400, "fail_message": "Unable to process input image."},
    ],
    ids=str,
)
def test_a_refused_image_fails_for_good(
    emulator: GeminiEmulator, reader: ImageReader, faults: dict[str, Any]
) -> None:
    emulator.control(**faults)

    with pytest.raises(PermanentError) as caught:
        reader.read(PNG, "image/png")

    assert caught.value.reason is FailureReason.NO_TEXT
    assert caught.value.detail.endswith(".")
    assert emulator.stats()["calls"] == 1


def test_images_that_cannot_be_sent_cost_no_call(
    emulator: GeminiEmulator, reader: ImageReader
) -> None:
    with pytest.raises(PermanentError) as unsupported:
        reader.read(b"GIF89a", "image/gif")
    with pytest.raises(PermanentError) as large:
        reader.read(b"x" * (reader.max_image_bytes + 1), "image/png")

    assert unsupported.value.reason is FailureReason.UNSUPPORTED_TYPE
    assert large.value.reason is FailureReason.TOO_LARGE
    assert emulator.stats()["calls"] == 0


def test_outages_and_quotas_speak_as_for_embeddings(
    emulator: GeminiEmulator, reader: ImageReader
) -> None:
    emulator.control(fail_next=1, fail_status=503)
    with pytest.raises(ProviderUnavailable):
        reader.read(PNG, "image/png")

    emulator.control(garbage_next=1, garbage="{}")
    with pytest.raises(ProviderUnavailable):
        reader.read(PNG, "image/png")

    emulator.control(fail_next=1, fail_status=429, retry_info_seconds=17)
    with pytest.raises(RateLimited) as caught:
        reader.read(PNG, "image/png")
    assert caught.value.retry_after == 17.0


def test_an_unknown_model_names_its_setting(emulator: GeminiEmulator) -> None:
    reader = build_image_reader(
        api_key=emulator.api_key, base_url=emulator.base_url, model="gemini-0"
    )

    with pytest.raises(ConfigurationError, match="VISION_MODEL"):
        reader.read(PNG, "image/png")
