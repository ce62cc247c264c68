"""What hostile files leave in the database: their text where it is honest, and no more."""

from collections.abc import Mapping
from typing import Any

from docmill_ingest.extraction_frames import MAX_HEADING_CHARACTERS
from docmill_ingest.pipeline import ingest
from docmill_ingest.resources import Resources
from docmill_shared import media_types as m
from docmill_shared.media_types import MediaType
from tests.hostile import archives, mails, texts
from tests.owners import Owner


def test_a_heading_as_long_as_a_chapter_is_not_repeated_in_every_passage(
    resources: Resources, owner: Owner
) -> None:
    chunks = kept(texts.long_heading(), m.MARKDOWN, resources, owner)
    longest = max(sum(map(len, chunk["heading_path"])) for chunk in chunks)
    assert longest <= 9 * MAX_HEADING_CHARACTERS
    assert "word word" in chunks[0]["text"], "it is text like any other"


def test_what_follows_a_picture_within_a_page_is_read(resources: Resources, owner: Owner) -> None:
    """Parsers of HTML stop at ten megabytes of one attribute, and say so to nobody."""
    chunks = kept(texts.long_attribute(11) + b"<p>The end.</p>", m.HTML, resources, owner)
    text = " ".join(chunk["text"] for chunk in chunks)
    assert archives.TEXT in text
    assert "The end." in text


def test_a_mail_of_too_many_pictures_is_found_by_its_text_and_the_first_of_them(
    resources: Resources, owner: Owner
) -> None:
    most = resources.settings.extraction_scanned_pages
    chunks = kept(mails.many_pictures(most + 2), m.EML, resources, owner)
    text = " ".join(" ".join(chunk["text"] for chunk in chunks).split())
    assert archives.TEXT in text
    assert "Harvest 0" in text
    assert f"Harvest {most - 1}" in text
    assert f"Harvest {most}" not in text


def kept(
    content: bytes, media_type: MediaType, resources: Resources, owner: Owner
) -> list[Mapping[str, Any]]:
    """The chunks of a file, which must complete."""
    file_id = owner.upload(content, name="file", media_type=media_type.name)
    ingest(file_id, resources)
    file = owner.file(file_id)
    assert file is not None
    assert file.status == "COMPLETED", file.failure_detail
    return owner.chunks(file_id)
