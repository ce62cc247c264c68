"""Alembic's entry: runs the migrations on the connection that ``docmill_shared.migrate`` made."""

from alembic import context

from docmill_shared.schema import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    transaction_per_migration=True,
)
context.run_migrations()
