"""What an undisturbed run makes of the same documents."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from uuid import UUID

from sqlalchemy import text

from tests.chaos.corpus import Document
from tests.chaos.docmill_system import DocmillSystem
from tests.chaos.naive_text import extract, split
from tests.chaos.proofs import Expected
from tests.chaos.settling import Voice, settle
from tests.chaos.systems import Upload
from tests.chaos.uploading import UPLOADERS

_OWNER = 1_000
_LONGEST_SECONDS = 180.0
#: The one document that must fail.
_LOCKED = "locked.pdf"


def undisturbed(system: DocmillSystem, documents: Sequence[Document], voice: Voice) -> Expected:
    """Ingest each content once more, by an owner of its own, with nothing in its way."""
    contents = list({(each.name, each.content): each for each in documents}.values())
    uploads = [system.upload_as(_OWNER, contents[0])]  # which makes the owner
    pool = ThreadPoolExecutor(UPLOADERS)
    try:
        uploads += pool.map(partial(system.upload_as, _OWNER), contents[1:])
    finally:
        pool.shutdown(cancel_futures=True)
    ids = [each.file_id for each in uploads]
    if not settle(system, ids, _LONGEST_SECONDS, voice, what="undisturbed"):
        raise RuntimeError(f"The undisturbed run did not end within {_LONGEST_SECONDS:g} s.")
    with system.engine.connect() as connection:
        failed = set(
            connection.execute(
                text("select id from files where id = any(:ids) and status <> 'COMPLETED'"),
                {"ids": ids},
            ).scalars()
        )
        passages: dict[UUID, list[str]] = {}
        for row in connection.execute(
            text("select file_id, text from chunks where file_id = any(:ids) order by ordinal"),
            {"ids": ids},
        ):
            passages.setdefault(row.file_id, []).append(row.text)
    names = {each.document.name for each in uploads if each.file_id in failed}
    if names - {_LOCKED}:
        raise RuntimeError(f"The undisturbed run itself failed with {sorted(names)}.")
    return {each.content: passages.get(each.file_id) for each in uploads}


def naively(documents: Sequence[Document]) -> Expected:
    """What the naive worker stores when nothing is in its way."""
    found: dict[tuple[str, bytes], list[str] | None] = {}
    for each in documents:
        upload = Upload(each, UUID(int=0), UUID(int=0))
        if upload.content not in found:
            locked = each.name == _LOCKED
            passages = None if locked else split(extract(each.content, each.media_type))
            found[upload.content] = passages
    return found
