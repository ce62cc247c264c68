"""E-mail: headers, one body, attachments of every kind, messages within messages."""

from collections.abc import Callable

from docmill_ingest.blocks import Block
from docmill_ingest.limits import ExtractionLimits
from docmill_shared import media_types as m
from tests import documents

Blocks = Callable[..., list[Block]]
HEADERS = Block("From: Ada <ada@example.org>\nTo: grace@example.org")


def test_subject_headers_and_one_of_two_bodies(blocks: Blocks) -> None:
    message = documents.email("Grüße", "First part.\n\nSecond part.", "<p>First part, again.</p>")
    assert blocks(message.as_bytes(), m.EML) == [
        Block("Grüße", heading_level=1),
        HEADERS,
        Block("First part."),
        Block("Second part."),
    ]


def test_a_body_in_html_alone(blocks: Blocks) -> None:
    message = documents.email("News", "")
    message.set_content("<h1>Big</h1><p>News</p>", subtype="html")
    assert blocks(message.as_bytes(), m.EML)[2:] == [
        Block("Big", heading_level=2),
        Block("News"),
    ]


def test_attachments_are_read_by_the_extractor_of_their_type(blocks: Blocks) -> None:
    message = documents.email(
        "Files",
        "See below.",
        attachments=[
            ("report.pdf", "application/pdf", documents.pdf("The report.")),
            ("teams.csv", "application/octet-stream", b"Team,City\nLeafs,Toronto\n"),
            ("program.exe", "application/octet-stream", b"MZ" + bytes(100)),
            ("broken.pdf", "application/pdf", b"no pdf"),
        ],
    )
    assert blocks(message.as_bytes(), m.EML)[3:] == [
        Block("Attachment: report.pdf", heading_level=2),
        Block("The report."),
        Block("Attachment: teams.csv", heading_level=2),
        Block("Team: Leafs | City: Toronto"),
    ]


def test_messages_within_messages_down_to_a_depth(blocks: Blocks) -> None:
    message = documents.email("Subject 5", "Body 5")
    for number in (4, 3, 2, 1):
        message = documents.email(f"Subject {number}", f"Body {number}", messages=[message])
    found = blocks(message.as_bytes(), m.EML, ExtractionLimits(attachment_depth=3))
    assert [block.text for block in found if block.heading_level] == [
        f"Subject {number}" for number in (1, 2, 3, 4)
    ]


def test_headers_that_are_broken_cost_no_more_than_themselves(blocks: Blocks) -> None:
    content = b"From: <<<>>,,:;@[\r\nSubject: =?utf-8?b?broken\r\nDate: yesterday\r\n\r\nHello\r\n"
    assert blocks(content, m.EML)[-1] == Block("Hello")


def test_a_body_whose_charset_is_unknown(blocks: Blocks) -> None:
    content = b"Subject: x\r\nContent-Type: text/plain; charset=none-such\r\n\r\ncaf\xc3\xa9\r\n"
    assert blocks(content, m.EML)[-1] == Block("café")
