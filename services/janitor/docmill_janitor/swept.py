"""What one run of a job reports."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Swept:
    """How many of each kind a run dealt with, and whether it stopped at its bound."""

    counts: dict[str, int] = field(default_factory=dict)
    more: bool = False
    #: What a dry run would have done, a line each: ``delete file <id> (FAILED since <time>)``.
    findings: tuple[str, ...] = ()
    #: Why the job did nothing although it was told to run: a sentence for the operator.
    refused: str | None = None

    @property
    def idle(self) -> bool:
        """Whether there was nothing to do."""
        return not any(self.counts.values())
