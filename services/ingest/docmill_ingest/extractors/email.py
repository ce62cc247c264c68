"""E-mail messages: the header lines that people search for, the body, the attachments.

The standard library takes the message apart (unstructured's partitioner reads the body alone, and
an attachment only by its own machinery for every format); each part then goes to the extractor of
its type, so an HTML body is read by ``unstructured`` after all.
"""

import logging
from collections.abc import Iterator
from dataclasses import replace
from email import message_from_binary_file, policy
from email.message import EmailMessage
from pathlib import Path
from typing import cast
from uuid import uuid4

from docmill_ingest.blocks import Block, PageCount, Piece
from docmill_ingest.extractors import Context
from docmill_ingest.extractors import extract as extract_file
from docmill_ingest.extractors.charsets import decode
from docmill_ingest.extractors.html import page_blocks
from docmill_ingest.sniffing import sniff
from docmill_shared import media_types
from docmill_shared.errors import PermanentError
from docmill_shared.media_types import MediaType

_log = logging.getLogger(__name__)
_HEADERS = ("From", "To", "Cc", "Date")
_MAX_ATTACHMENTS = 200


def extract(path: Path, context: Context) -> Iterator[Piece]:
    """The subject as a heading, then headers, body and attachments.

    What is attached has no page: the page of an attachment would be taken for the e-mail's.
    An attachment that cannot be read is left out; the message is still worth finding.
    """
    with path.open("rb") as stream:
        message = message_from_binary_file(stream, policy=policy.default)
    yield from _message(message, context)


def _message(message: EmailMessage, context: Context) -> Iterator[Piece]:
    subject = _header(message, "Subject")
    level = min(2 * context.depth + 1, 9)
    if subject:
        yield Block(subject, heading_level=level)
    lines = [f"{name}: {value}" for name in _HEADERS if (value := _header(message, name))]
    if lines:
        yield Block("\n".join(lines))
    body = message.get_body(preferencelist=("plain", "html"))
    if body is not None:
        yield from _body(cast(EmailMessage, body), level)
    for number, part in enumerate(_attachments(message, body, alternative=False)):
        if number == _MAX_ATTACHMENTS:
            _log.warning("more than %d attachments; the rest is left out", _MAX_ATTACHMENTS)
            break
        yield from _attachment(part, context, level)


def _body(part: EmailMessage, level: int) -> Iterator[Block]:
    text = _text(part)
    if part.get_content_type() == "text/html":
        for block in page_blocks(text):
            yield _below(block, level)
    else:
        for paragraph in text.replace("\r\n", "\n").split("\n\n"):
            yield Block(paragraph)


def _attachments(
    message: EmailMessage, body: object, *, alternative: bool
) -> Iterator[EmailMessage]:
    """Every part that is not the body, another form of the body, or a picture in its text."""
    if message.get_content_maintype() != "multipart":
        return
    alternative = alternative or message.get_content_type() == "multipart/alternative"
    for part in cast(list[EmailMessage], message.get_payload()):
        kind = part.get_content_maintype()
        if kind == "multipart":
            yield from _attachments(part, body, alternative=alternative)
        elif part is not body and (
            part.is_attachment() or not (kind == "image" or (kind == "text" and alternative))
        ):
            yield part


def _attachment(part: EmailMessage, context: Context, level: int) -> Iterator[Piece]:
    if context.depth >= context.limits.attachment_depth:
        _log.warning("an attachment is nested too deeply; it is left out")
        return
    inner = replace(context, depth=context.depth + 1)
    if part.get_content_type() == "message/rfc822":
        for message in cast(list[EmailMessage], part.get_payload()):
            yield from _message(message, inner)
        return
    name = part.get_filename() or ""
    media_type = media_types.find(part.get_content_type()) or media_types.guess(name)
    if media_type is None:
        return
    titled = not name
    try:
        for piece in _file(part, media_type, inner):
            if not titled:
                yield Block(f"Attachment: {name}", heading_level=min(level + 1, 9))
                titled = True
            yield _below(piece, level + 1) if isinstance(piece, Block) else piece
    except PermanentError as error:
        _log.warning("an attachment is left out: %s", error.detail)


def _file(part: EmailMessage, media_type: MediaType, context: Context) -> Iterator[Piece]:
    path = context.work_directory / f"attachment-{uuid4().hex}"
    try:
        path.write_bytes(_content(part))
        sniff(path, media_type)
        for piece in extract_file(path, media_type, context):
            if not isinstance(piece, PageCount):
                yield replace(piece, page=None)
    finally:
        path.unlink(missing_ok=True)


def _below(block: Block, level: int) -> Block:
    """The block under the heading of its message or attachment."""
    inner = block.heading_level
    return replace(block, heading_level=min(inner + level, 9) if inner else 0)


def _text(part: EmailMessage) -> str:
    return decode(_content(part), part.get_content_charset()).replace("\0", "")


def _content(part: EmailMessage) -> bytes:
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


def _header(message: EmailMessage, name: str) -> str:
    try:
        return " ".join(str(message.get(name, "")).split())
    except (ValueError, IndexError, AttributeError, LookupError):
        return ""  # the standard library's header parser trips over some malformed ones
