"""The migrations build exactly the tables that the models describe."""

import pytest
import sqlalchemy
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, text

from docmill_dev.stack import Stack
from docmill_shared import migrate
from docmill_shared.errors import ConfigurationError
from docmill_shared.schema import Base


def test_models_equal_migrations(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, Base.metadata) == []


def test_check_constraints_equal_migrations(engine: Engine) -> None:
    """Alembic does not compare check constraints, so their names are compared here."""
    modelled = {
        str(constraint.name)
        for table in Base.metadata.tables.values()
        for constraint in table.constraints
        if isinstance(constraint, sqlalchemy.CheckConstraint)
    }
    with engine.connect() as connection:
        migrated = set(
            connection.execute(
                text(
                    "select conname from pg_constraint"
                    " where contype = 'c' and connamespace = 'public'::regnamespace"
                )
            ).scalars()
        )
    assert migrated == modelled


def test_embeddings_stay_in_their_row(engine: Engine) -> None:
    with engine.connect() as connection:
        storage = connection.execute(
            text(
                "select attstorage from pg_attribute"
                " where attrelid = 'chunks'::regclass and attname = 'embedding'"
            )
        ).scalar_one()
    assert storage in ("p", b"p"), "PLAIN: an exact search must not go through TOAST"


def test_down_and_up_again(stack: Stack) -> None:
    engine = sqlalchemy.create_engine(stack.create_database("test_down_and_up"))
    migrate.upgrade(engine)
    with engine.connect() as connection:
        command.downgrade(migrate.configuration(connection), "base")
        connection.commit()
    assert set(sqlalchemy.inspect(engine).get_table_names()) <= {"alembic_version"}
    migrate.upgrade(engine)
    migrate.require_current(engine)
    engine.dispose()


def test_an_empty_database_is_refused_with_what_to_do(stack: Stack) -> None:
    engine = sqlalchemy.create_engine(stack.create_database("test_refused"))
    with pytest.raises(ConfigurationError, match=r"Run: python -m docmill_shared\.migrate"):
        migrate.require_current(engine)
    engine.dispose()


def test_a_newer_schema_is_accepted(stack: Stack) -> None:
    """During a rollout the database is migrated before the last old process has gone."""
    engine = sqlalchemy.create_engine(stack.create_database("test_newer"))
    migrate.upgrade(engine)
    with engine.begin() as connection:
        connection.execute(text("update alembic_version set version_num = '9999'"))
    migrate.require_current(engine)
    engine.dispose()
