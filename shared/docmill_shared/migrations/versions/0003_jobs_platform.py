"""The schedule for operators to see, dry runs, welcome mails, and what a reconciliation marks.

The previous release's code goes on: new columns have defaults or may be null, and what it inserts
into ``job_runs`` always has ``finished_at``. Indexes on tables with traffic are built concurrently.

Revision: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def _time(name: str, *, nullable: bool = True) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "schedule",
        sa.Column("job", sa.Text(), primary_key=True),
        sa.Column("cron", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        _time("next_at"),
        _time("published_at", nullable=False),
        _time("paused_at"),
        sa.Column("bookmark", sa.Text()),
    )
    op.alter_column("job_runs", "finished_at", nullable=True)
    op.add_column(
        "job_runs", sa.Column("dry_run", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
    op.add_column("job_runs", sa.Column("requested_by", sa.Uuid()))
    op.add_column(
        "job_runs",
        sa.Column("findings", postgresql.JSONB(), server_default=sa.text("'[]'"), nullable=False),
    )
    op.create_index("job_runs_started", "job_runs", ["started_at"])
    op.add_column("files", _time("object_missing_at"))
    op.add_column("users", _time("welcome_claimed_at"))
    # Who was here before this release is not greeted as new. A default that is constant within the
    # statement is kept in the catalogue, so no row is written, however many users there are.
    op.add_column(
        "users",
        sa.Column("welcomed_at", sa.DateTime(timezone=True), server_default=sa.func.now()),
    )
    op.alter_column("users", "welcomed_at", server_default=None)
    with op.get_context().autocommit_block():
        op.create_index(
            "users_unwelcomed",
            "users",
            ["created_at"],
            postgresql_where=sa.text("welcomed_at is null"),
            postgresql_concurrently=True,
        )
        op.create_index(
            "files_duplicate_objects",
            "files",
            ["finished_at"],
            postgresql_where=sa.text("status = 'DUPLICATE' and object_deleted_at is null"),
            postgresql_concurrently=True,
        )


def downgrade() -> None:
    op.drop_index("files_duplicate_objects", "files")
    op.drop_index("users_unwelcomed", "users")
    op.drop_column("users", "welcomed_at")
    op.drop_column("users", "welcome_claimed_at")
    op.drop_column("files", "object_missing_at")
    op.drop_index("job_runs_started", "job_runs")
    op.drop_column("job_runs", "findings")
    op.drop_column("job_runs", "requested_by")
    op.drop_column("job_runs", "dry_run")
    op.execute("delete from job_runs where finished_at is null")
    op.alter_column("job_runs", "finished_at", nullable=False)
    op.drop_table("schedule")
