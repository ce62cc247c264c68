"""Alembic's entry: runs the migrations on the connection that ``docmill_shared.migrate`` made.

Every step may run twice, because a migration that builds an index concurrently is committed in
parts: if it is killed in between, its revision is not recorded and it starts from its beginning.
"""

from alembic import context
from alembic.operations import Operations, ops, toimpl
from sqlalchemy import Table, text

from docmill_shared.schema import Base


@Operations.implementation_for(ops.CreateTableOp, replace=True)
def create_table(operations: Operations, operation: ops.CreateTableOp) -> Table:
    """Unless it is there."""
    operation.if_not_exists = True
    return toimpl.create_table(operations, operation)


@Operations.implementation_for(ops.AddColumnOp, replace=True)
def add_column(operations: Operations, operation: ops.AddColumnOp) -> None:
    """Unless it is there."""
    operation.if_not_exists = True
    toimpl.add_column(operations, operation)


@Operations.implementation_for(ops.CreateIndexOp, replace=True)
def create_index(operations: Operations, operation: ops.CreateIndexOp) -> None:
    """Unless it is there; one that is built concurrently may take as long as it needs."""
    operation.if_not_exists = True
    if not operation.kw.get("postgresql_concurrently"):
        toimpl.create_index(operations, operation)
        return
    bind = operations.get_bind()
    # Reads and writes go on beside it, also while it waits for transactions older than itself.
    limits = {
        name: bind.execute(text(f"show {name}")).scalar_one()
        for name in ("lock_timeout", "statement_timeout")
    }
    for name in limits:
        bind.execute(text(f"set {name} = 0"))
    # What is left of a build that was killed: it slows down writes and serves no query.
    invalid = bind.execute(
        text(
            "select indexrelid::regclass::text from pg_index"
            " where indexrelid = to_regclass(:name) and not indisvalid"
        ),
        {"name": operation.index_name},
    ).scalar_one_or_none()
    if invalid is not None:
        operations.execute(f"drop index concurrently {invalid}")
    toimpl.create_index(operations, operation)
    for name, value in limits.items():
        bind.execute(text(f"set {name} = '{value}'"))


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    transaction_per_migration=True,
)
context.run_migrations()
