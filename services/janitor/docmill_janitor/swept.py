"""What one run of a job reports."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Swept:
    """How many of each kind a run dealt with, and whether it stopped at its bound."""

    counts: dict[str, int] = field(default_factory=dict)
    more: bool = False

    @property
    def idle(self) -> bool:
        """Whether there was nothing to do."""
        return not any(self.counts.values())
