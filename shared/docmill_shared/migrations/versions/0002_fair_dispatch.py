"""Priorities, waiting files by owner, and the history of attempts.

The previous release's code inserts files without the new columns (they have defaults) and never
reads them. The indexes are built concurrently, so no upload waits for them.

Revision: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_WAITING = "status in ('QUEUED', 'PROCESSING')"
_UNSENT = "status = 'QUEUED' and sent_at is null"


def upgrade() -> None:
    op.add_column(
        "files", sa.Column("bulk", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
    op.add_column(
        "files",
        sa.Column("attempts", postgresql.JSONB(), server_default=sa.text("'[]'"), nullable=False),
    )
    with op.get_context().autocommit_block():
        op.create_index(
            "files_waiting",
            "files",
            ["owner_id"],
            postgresql_where=sa.text(_WAITING),
            postgresql_concurrently=True,
        )
        op.create_index(
            "files_unsent",
            "files",
            ["bulk", "owner_id", "next_attempt_at"],
            postgresql_where=sa.text(_UNSENT),
            postgresql_concurrently=True,
        )


def downgrade() -> None:
    op.drop_index("files_unsent", "files")
    op.drop_index("files_waiting", "files")
    op.drop_column("files", "attempts")
    op.drop_column("files", "bulk")
