"""What the stages of the pipeline hand to one another."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.exc import SQLAlchemyError

from docmill_ingest.blocks import Block
from docmill_ingest.leases import Lease
from docmill_ingest.stage_clock import StageClock
from docmill_shared import usage
from docmill_shared.chunks import Passage
from docmill_shared.database import autocommit
from docmill_shared.files import claims
from docmill_shared.files.claims import Claim
from docmill_shared.progress import FileProgress
from docmill_shared.states import FileStatus

if TYPE_CHECKING:
    from docmill_ingest.resources import Resources

#: Progress is for people who watch; more often than this helps nobody and costs a round trip.
REPORT_SECONDS = 1.0


@dataclass(slots=True)
class Progress:
    """How far one file is; written to its row at most once a second."""

    claim: Claim
    stage: str = "fetch"
    page_count: int | None = None
    pages_done: int = 0
    chunks_done: int = 0
    _reported_at: float = field(default_factory=time.monotonic)

    def report(self, resources: "Resources") -> None:
        """Write and publish it if a second has passed; raises ``LeaseLost``."""
        if time.monotonic() - self._reported_at < REPORT_SECONDS:
            return
        self._reported_at = time.monotonic()
        with autocommit(resources.engine) as connection:
            claims.report_progress(
                connection,
                self.claim,
                stage=self.stage,
                page_count=self.page_count,
                pages_done=self.pages_done,
                chunks_done=self.chunks_done,
            )
        self.publish(resources, FileStatus.PROCESSING)

    def publish(self, resources: "Resources", status: FileStatus) -> None:
        """Tell whoever watches a file that is PROCESSING or COMPLETED."""
        completed = status is FileStatus.COMPLETED
        resources.progress.tell(
            self.claim.owner_id,
            FileProgress(
                self.claim.file_id,
                status,
                stage=None if completed else self.stage,
                page_count=self.page_count,
                pages_done=(self.page_count or 0) if completed else self.pages_done,
                chunk_count=self.chunks_done if completed else None,
                chunks_done=self.chunks_done,
            ),
        )


@dataclass(slots=True)
class Work:
    """One file on its way through the stages.

    A stage reads what earlier stages set and sets its own. ``blocks``, ``passages`` and
    ``embedded`` are lazy: the last stage pulls the file through all of them, so extraction,
    chunking and embedding overlap and none runs ahead of the next.
    """

    claim: Claim
    lease: Lease
    directory: Path  #: for this file alone; removed afterwards
    progress: Progress
    clock: StageClock = field(default_factory=StageClock)
    path: Path = field(init=False)  #: set by fetch
    sha256: bytes = field(init=False)  #: set by fetch
    blocks: Iterator[Block] = field(init=False)  #: set by extract
    passages: Iterator[Passage] = field(init=False)  #: set by chunk
    #: Set by embed: batches of passages with their vectors, shape (len(batch), 768).
    embedded: Iterator[tuple[list[Passage], NDArray[np.float32]]] = field(init=False)
    #: Of each call to the embedder that is not in its owner's usage yet; from several threads.
    uncounted_tokens: list[int] = field(default_factory=list)
    _counted_at: float = field(default_factory=time.monotonic)

    def count_tokens(self, resources: "Resources", *, at_once: bool = False) -> None:
        """Add the uncounted tokens to the owner's usage if a second has passed, or ``at_once``."""
        if not at_once and time.monotonic() - self._counted_at < REPORT_SECONDS:
            return
        self._counted_at = time.monotonic()
        tokens = 0
        while self.uncounted_tokens:
            tokens += self.uncounted_tokens.pop()
        if not tokens:
            return
        try:
            with autocommit(resources.engine) as connection:
                usage.add_tokens(connection, self.claim.owner_id, tokens)
        except SQLAlchemyError:
            self.uncounted_tokens.append(tokens)
            raise
