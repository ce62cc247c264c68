"""What is uploaded: a mix of files made from the seed, no two with a passage in common.

A passage that stood in two files would look like a text that was paid for twice, so every file
says its own name throughout, and only deliberate copies are equal.
"""

import random
from dataclasses import dataclass, replace

from tests import documents
from tests.owners import prose

OWNERS = 5
#: Copies that follow their original at once: the two may be embedded at the same moment.
RACING_COPIES = 2
_TEXT, _PDF = "text/plain", "application/pdf"

#: Shares of all files; the rest are small texts. Copies are taken out of the small ones.
_LONG, _MEDIUM, _PDFS, _COPIES, _FOREIGN_COPIES = 0.003, 0.03, 0.15, 0.05, 0.04


@dataclass(frozen=True, slots=True)
class Document:
    """One upload. Equal ``content`` of the same ``owner`` must be stored once."""

    owner: int
    name: str
    media_type: str
    content: bytes


def build(files: int, seed: int) -> list[Document]:
    """That many uploads in the order in which they happen; the same for the same arguments."""
    rng = random.Random(f"corpus {seed}")
    copies = max(1, round(files * _COPIES)), max(1, round(files * _FOREIGN_COPIES))
    originals = [_original(number, files, rng) for number in range(files - sum(copies) - 1)]
    rng.shuffle(originals)
    originals.insert(
        rng.randrange(len(originals)),
        Document(rng.randrange(OWNERS), "locked.pdf", _PDF, documents.encrypted_pdf()),
    )
    plain = [each for each in originals if each.media_type == _TEXT]
    uploads = list(originals)
    for number in range(sum(copies)):
        original = rng.choice(plain)
        place = uploads.index(original)
        if number < copies[0]:
            copy = original
        else:
            copy = replace(original, owner=(original.owner + 1) % OWNERS)
        # One of each kind right behind its original, so that both are under way at once.
        racing = number in (0, copies[0])
        distance = 1 if racing else rng.randrange(1, len(uploads) - place + 1)
        uploads.insert(place + distance, copy)
    return uploads


def _original(number: int, files: int, rng: random.Random) -> Document:
    owner, seed = rng.randrange(OWNERS), number * 1_000
    longs = max(1, round(files * _LONG))
    mediums = max(1, round(files * _MEDIUM))
    if number < longs:
        return Document(owner, f"long-{number}.txt", _TEXT, prose(rng.randint(450, 600), seed))
    if number < longs + mediums:
        return Document(owner, f"medium-{number}.txt", _TEXT, prose(rng.randint(80, 160), seed))
    if number < longs + mediums + round(files * _PDFS):
        pages = [_page(number, page) for page in range(1, rng.randint(3, 10))]
        return Document(owner, f"report-{number}.pdf", _PDF, documents.pdf(*pages))
    return Document(owner, f"note-{number}.txt", _TEXT, prose(rng.randint(8, 70), seed))


def _page(number: int, page: int) -> str:
    lines = [f"Report {number}, page {page}."]
    for line in range(25):
        words = [f"station{(number * 37 + page * 11 + line * 5 + n) % 997}" for n in range(7)]
        lines.append(f"Line {page}.{line} of report {number}: " + " ".join(words) + ".")
    return "\n".join(lines)
