"""What an owner has and may still have, as the API shows it."""

from datetime import UTC, datetime, timedelta
from typing import Self

from pydantic import BaseModel, Field

from docmill_shared.usage import Limits, Usage


class Allowance(BaseModel):
    """One quota; without a limit the last two are null."""

    used: int
    limit: int | None
    remaining: int | None

    @classmethod
    def of(cls, used: int, limit: int | None) -> Self:
        """More may be used than the limit is, if that was lowered."""
        remaining = None if limit is None else max(0, limit - used)
        return cls(used=used, limit=limit, remaining=remaining)


class Quota(BaseModel):
    """What you have and may still have."""

    files: Allowance
    bytes: Allowance
    tokens_today: Allowance = Field(
        description="Embedded today; when none remain, further files wait for the next day in UTC."
    )
    tokens_reset_at: datetime

    @classmethod
    def of(cls, usage: Usage, limits: Limits) -> Self:
        """The view of these."""
        midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return cls(
            files=Allowance.of(usage.files, limits.files),
            bytes=Allowance.of(usage.bytes, limits.bytes),
            tokens_today=Allowance.of(usage.tokens, limits.tokens_per_day),
            tokens_reset_at=midnight + timedelta(days=1),
        )
