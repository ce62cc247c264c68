"""${message}

What the previous release's code still does against this schema: say it here. During a rollout
old and new processes run side by side: add columns as nullable or with a default, drop nothing
that old code reads, build indexes concurrently, hold no lock for longer than a blink.

Revision: ${up_revision}
Revises: ${down_revision | comma,n}
"""

import sqlalchemy as sa
from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
