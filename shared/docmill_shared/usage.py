"""The owner_usage table: what each owner has, and the tokens that were embedded for them today.

A trigger on ``users`` makes the row, one on ``files`` counts; the ingest workers add the tokens. A
day is one in UTC, by the database's clock.
"""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    Date,
    SQLColumnExpression,
    case,
    cast,
    func,
    select,
    update,
)

from docmill_shared.schema import OwnerUsage
from docmill_shared.settings import OwnerQuotaSettings

_TODAY = cast(func.timezone("UTC", func.now()), Date)
_TOKENS_TODAY = case((OwnerUsage.tokens_on == _TODAY, OwnerUsage.tokens), else_=0)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one owner may have; None: as much as they like."""

    files: int | None
    bytes: int | None
    tokens_per_day: int | None

    @classmethod
    def of(cls, settings: OwnerQuotaSettings) -> "Limits":
        """As a service was told."""
        return cls(
            settings.owner_max_files, settings.owner_max_bytes, settings.owner_tokens_per_day
        )


@dataclass(frozen=True, slots=True)
class Usage:
    """What an owner has; ``tokens`` are today's."""

    files: int = 0
    bytes: int = 0
    tokens: int = 0


def find(connection: Connection, owner_id: UUID) -> Usage:
    """What the owner has now."""
    row = connection.execute(
        select(OwnerUsage.files, OwnerUsage.bytes, _TOKENS_TODAY).where(
            OwnerUsage.owner_id == owner_id
        )
    ).one()
    return Usage(*row)


def tokens_today(owner_id: SQLColumnExpression[UUID]) -> ColumnElement[int]:
    """Part of another statement: today's tokens of the owner that it speaks of."""
    today = select(_TOKENS_TODAY).where(OwnerUsage.owner_id == owner_id)
    return func.coalesce(today.correlate_except(OwnerUsage).scalar_subquery(), 0)


def add_tokens(connection: Connection, owner_id: UUID, tokens: int) -> None:
    """These were embedded for the owner now."""
    connection.execute(
        update(OwnerUsage)
        .where(OwnerUsage.owner_id == owner_id)
        .values(tokens=_TOKENS_TODAY + tokens, tokens_on=_TODAY)
    )
