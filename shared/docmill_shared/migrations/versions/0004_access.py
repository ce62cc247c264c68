"""Row-level security with a role for the api, API keys, audit, usage, webhooks, idempotency.

The previous release's code goes on: new columns may be null, its role owns the tables and is not
bound by their policies, and what it does to files is counted and told to webhooks by triggers.

The role ``docmill_api`` belongs to the whole server. Where the role that migrates may not create
it, an administrator does: ``create role docmill_api login password '...'``.

Revision: 0004
Revises: 0003
"""

import time

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import OperationalError

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

#: For each table. Between two attempts, whoever waited meanwhile goes on.
_LOCK_MILLISECONDS, _LOCK_PAUSE_SECONDS, _LOCK_ATTEMPTS = 300, 0.2, 10

_ROLE = """
do $$ begin
  if not exists (select from pg_roles where rolname = 'docmill_api') then
    create role docmill_api nologin;
  end if;
exception when duplicate_object or unique_violation then
  null; -- another database of this server was faster
end $$
"""

#: The caller of the statement at hand; null without one, and then no row is anybody's. A query of
#: its own, which is asked once for a statement and not once for each row.
_CALLER = "(select nullif(current_setting('docmill.caller', true), '')::uuid)"

_OWNED = {
    "files": "owner_id",
    "chunks": "owner_id",
    "owner_usage": "owner_id",
    "webhooks": "owner_id",
    "webhook_deliveries": "owner_id",
}

_GRANTS = {
    "alembic_version": "select",
    "users": "select, insert, update",
    "refresh_tokens": "select, insert, update",
    "revoked_tokens": "select, insert, update",
    "api_keys": "select, insert, update",
    "audit_events": "select, insert",
    "files": "select, insert, update, delete",
    "chunks": "select, update, delete",
    "owner_usage": "select, update",
    "webhooks": "select, insert, update, delete",
    "webhook_deliveries": "select, insert, update",
    "job_runs": "select",
    "schedule": "select, update",
    "waiting_files": "select",
    "visible_files": "select",
    "visible_chunks": "select",
}

#: Plain views read with their owner's rights, so these are the only ways to what others published
#: and, for operators, to how much waits.
#: The planner looks through them; through a policy it could not use the full-text index, because
#: its operator is not leak-proof. Of a ``coalesce`` it assumes that half of the rows get through:
#: of the bare condition it would assume next to none, and leave a large owner's vector index aside.
_VIEWS = f"""
create or replace view visible_files as
select id, owner_id, name, visibility from files
where status = 'COMPLETED' and (owner_id = {_CALLER} or visibility = 'public');

create or replace view visible_chunks as
select id, file_id, owner_id, visibility, ordinal, text, token_count, page_start, page_end,
    heading_path, char_start, char_end, embedding, tsv from chunks
where coalesce(owner_id = {_CALLER} or visibility = 'public', false);

create or replace view waiting_files as
select bulk, queued_at from files where status = 'QUEUED';
"""  # noqa: S608 - constants of this file

#: Every account has a row from its beginning, so that there is always one to be locked. Files are
#: counted once a statement, however many; in the owners' order, so that no two wait for each other.
_COUNTING = """
create or replace function begin_usage() returns trigger
language plpgsql security definer set search_path = public, pg_temp as $$ begin
  insert into owner_usage (owner_id) values (new.id) on conflict do nothing;
  return null;
end $$;

create or replace function count_new_files() returns trigger
language plpgsql security definer set search_path = public, pg_temp as $$ begin
  perform from owner_usage where owner_id in (select owner_id from changed)
    order by owner_id for no key update;
  update owner_usage usage set files = usage.files + come.files, bytes = usage.bytes + come.bytes
  from (select owner_id, count(*) as files, sum(size_bytes) as bytes from changed group by owner_id)
    come
  where usage.owner_id = come.owner_id;
  return null;
end $$;

create or replace function count_gone_files() returns trigger
language plpgsql security definer set search_path = public, pg_temp as $$ begin
  perform from owner_usage where owner_id in (select owner_id from changed)
    order by owner_id for no key update;
  update owner_usage usage set files = usage.files - gone.files, bytes = usage.bytes - gone.bytes
  from (select owner_id, count(*) as files, sum(size_bytes) as bytes from changed group by owner_id)
    gone
  where usage.owner_id = gone.owner_id;
  return null;
end $$;
"""

_COUNT_ALL = """
insert into owner_usage (owner_id, files, bytes)
select users.id, count(files.id), coalesce(sum(files.size_bytes), 0)
from users left join files on files.owner_id = users.id group by users.id
on conflict (owner_id) do update set files = excluded.files, bytes = excluded.bytes
"""

#: In the transaction that changes the file, so that no event is lost and none is invented.
_TELLING = """
create or replace function tell_webhooks() returns trigger
language plpgsql security definer set search_path = public, pg_temp as $$
declare happened text := case new.status when 'COMPLETED' then 'file.completed'
  when 'FAILED' then 'file.failed' when 'DUPLICATE' then 'file.duplicate' else 'file.deleted' end;
begin
  insert into webhook_deliveries (webhook_id, owner_id, event, file_id, payload)
  select webhooks.id, new.owner_id, happened, new.id, jsonb_build_object(
    'type', happened,
    'timestamp', to_char(now() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    'data', jsonb_build_object(
      'file_id', new.id, 'name', new.name, 'media_type', new.media_type,
      'size_bytes', new.size_bytes, 'visibility', new.visibility, 'status', new.status,
      'sha256', encode(new.sha256, 'hex'), 'page_count', new.page_count,
      'chunk_count', new.chunk_count, 'duplicate_of', new.duplicate_of,
      'failure_reason', new.failure_reason, 'failure_detail', new.failure_detail))
  from webhooks
  where owner_id = new.owner_id and disabled_at is null and happened = any(events);
  return null;
end $$;
"""


def _time(name: str, *, nullable: bool = True, now: bool = False) -> sa.Column[object]:
    default = sa.func.now() if now else None
    return sa.Column(
        name, sa.DateTime(timezone=True), nullable=nullable and not now, server_default=default
    )


def _owner(name: str, *, primary_key: bool = False) -> sa.Column[object]:
    return sa.Column(
        name,
        sa.Uuid(),
        sa.ForeignKey("users.id", ondelete="CASCADE"),
        primary_key=primary_key,
        nullable=False,
    )


def _count(name: str, kind: type[sa.Integer] = sa.BigInteger, first: str = "0") -> sa.Column[int]:
    return sa.Column(name, kind(), server_default=first, nullable=False)


def upgrade() -> None:
    _locks()
    _columns()
    _tables()
    _triggers()
    _security()
    _indexes()


def _locks() -> None:
    """The tables that change and are in use: all of them at once, before anything else.

    A query that has read one and waits for another must not end a deadlock. The server looks for
    one after a second (``deadlock_timeout``); this lets go after two thirds of that at most.
    """
    bind = op.get_bind()
    patience = bind.execute(sa.text("show lock_timeout")).scalar_one()
    bind.execute(sa.text(f"set local lock_timeout = '{_LOCK_MILLISECONDS}ms'"))
    for attempts_left in reversed(range(_LOCK_ATTEMPTS)):
        try:
            with bind.begin_nested():
                bind.execute(sa.text("lock table chunks, files, users in access exclusive mode"))
            break
        except OperationalError:
            if not attempts_left:
                raise
            time.sleep(_LOCK_PAUSE_SECONDS)
    bind.execute(sa.text(f"set local lock_timeout = '{patience}'"))


def _columns() -> None:
    op.add_column("users", _time("tokens_valid_from"))
    op.add_column("users", _time("deleted_at"))
    op.add_column("users", sa.Column("external_issuer", sa.Text()))
    op.add_column("users", sa.Column("external_subject", sa.Text()))
    op.add_column("files", sa.Column("declared_sha256", sa.LargeBinary()))
    op.add_column("files", sa.Column("idempotency_key", sa.Text()))
    op.add_column("files", sa.Column("idempotency_sha256", sa.LargeBinary()))
    op.add_column("files", sa.Column("request_id", sa.Text()))


def _tables() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Uuid(), primary_key=True),
        _owner("user_id"),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("key_sha256", sa.LargeBinary(), nullable=False, unique=True),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), nullable=False),
        _time("created_at", now=True),
        _time("expires_at"),
        _time("revoked_at"),
        _time("last_used_at"),
    )
    op.create_index("ix_api_keys_user_id", "api_keys", ["user_id"])
    op.create_table(
        "audit_events",
        sa.Column("id", sa.Uuid(), primary_key=True),
        _time("at", now=True),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Uuid()),
        sa.Column("address", sa.Text()),
        sa.Column("request_id", sa.Text()),
        sa.Column("detail", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
    )
    newest = [sa.text("at desc"), sa.text("id desc")]
    op.create_index("audit_events_newest", "audit_events", newest)
    op.create_index("audit_events_user", "audit_events", ["user_id", *newest])
    op.create_table(
        "owner_usage",
        _owner("owner_id", primary_key=True),
        _count("files"),
        _count("bytes"),
        _count("tokens"),
        sa.Column("tokens_on", sa.Date()),
    )
    op.create_table(
        "webhooks",
        sa.Column("id", sa.Uuid(), primary_key=True),
        _owner("owner_id"),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("description", sa.Text()),
        sa.Column("events", postgresql.ARRAY(sa.Text()), nullable=False),
        _count("secret_version", sa.Integer, "1"),
        _time("previous_secret_until"),
        _time("created_at", now=True),
        _time("disabled_at"),
        sa.Column("idempotency_key", sa.Text()),
        sa.Column("idempotency_sha256", sa.LargeBinary()),
    )
    op.create_index("webhooks_owner", "webhooks", ["owner_id", "created_at", "id"])
    op.create_index(
        "webhooks_idempotency",
        "webhooks",
        ["owner_id", "idempotency_key"],
        unique=True,
        postgresql_where=sa.text("idempotency_key is not null"),
    )
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", sa.Uuid(), server_default=sa.func.gen_random_uuid(), primary_key=True),
        sa.Column(
            "webhook_id",
            sa.Uuid(),
            sa.ForeignKey("webhooks.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("file_id", sa.Uuid()),
        sa.Column("payload", postgresql.JSONB(), nullable=False),
        sa.Column("status", sa.Text(), server_default="PENDING", nullable=False),
        _count("attempt", sa.SmallInteger),
        sa.Column("attempts", postgresql.JSONB(), server_default=sa.text("'[]'"), nullable=False),
        _time("next_attempt_at", now=True),
        _time("created_at", now=True),
        _time("finished_at"),
        sa.CheckConstraint(
            "status in ('PENDING', 'DELIVERED', 'FAILED')", name="webhook_deliveries_status_known"
        ),
    )
    op.create_index(
        "webhook_deliveries_due",
        "webhook_deliveries",
        ["webhook_id", "next_attempt_at"],
        postgresql_where=sa.text("status = 'PENDING'"),
    )
    op.create_index(
        "webhook_deliveries_newest",
        "webhook_deliveries",
        ["webhook_id", sa.text("created_at desc"), sa.text("id desc")],
    )
    op.create_index("webhook_deliveries_created", "webhook_deliveries", ["created_at"])


def _triggers() -> None:
    op.execute(_COUNTING)
    op.execute(_TELLING)
    op.execute(
        "create or replace trigger users_counted after insert on users"
        " for each row execute function begin_usage()"
    )
    op.execute(
        "create or replace trigger files_counted after insert on files"
        " referencing new table as changed for each statement execute function count_new_files()"
    )
    op.execute(
        "create or replace trigger files_uncounted after delete on files"
        " referencing old table as changed for each statement execute function count_gone_files()"
    )
    op.execute(
        "create or replace trigger files_told after update of status on files for each row"
        " when (old.status is distinct from new.status"
        " and new.status in ('COMPLETED', 'FAILED', 'DUPLICATE', 'DELETING'))"
        " execute function tell_webhooks()"
    )
    # With the lock of the triggers above held, so nothing is missed; an index-only count would
    # need no more than a second for a million files.
    op.execute(_COUNT_ALL)


def _security() -> None:
    op.execute(_ROLE)
    op.execute(_VIEWS)
    for table, column in _OWNED.items():
        op.execute(f"alter table {table} enable row level security")
        op.execute(f"drop policy if exists own on {table}")
        op.execute(
            f"create policy own on {table} to docmill_api"
            f" using ({column} = {_CALLER}) with check ({column} = {_CALLER})"
        )
    for relation, rights in _GRANTS.items():
        op.execute(f"grant {rights} on {relation} to docmill_api")
    for function in ("begin_usage", "count_new_files", "count_gone_files", "tell_webhooks"):
        op.execute(f"revoke execute on function {function}() from public")


def _indexes() -> None:
    with op.get_context().autocommit_block():
        op.create_index(
            "users_external",
            "users",
            ["external_issuer", "external_subject"],
            unique=True,
            postgresql_where=sa.text("external_subject is not null"),
            postgresql_concurrently=True,
        )
        op.create_index(
            "users_deleted",
            "users",
            ["deleted_at"],
            postgresql_where=sa.text("deleted_at is not null"),
            postgresql_concurrently=True,
        )
        op.create_index(
            "files_idempotency",
            "files",
            ["owner_id", "idempotency_key"],
            unique=True,
            postgresql_where=sa.text("idempotency_key is not null"),
            postgresql_concurrently=True,
        )


def downgrade() -> None:
    op.execute("drop view waiting_files, visible_chunks, visible_files")
    for trigger in ("files_told", "files_uncounted", "files_counted"):
        op.execute(f"drop trigger {trigger} on files")
    op.execute("drop trigger users_counted on users")
    for function in ("tell_webhooks", "count_gone_files", "count_new_files", "begin_usage"):
        op.execute(f"drop function {function}()")
    for table in ("files", "chunks"):
        op.execute(f"drop policy own on {table}")
        op.execute(f"alter table {table} disable row level security")
    # The role stays: other databases of this server may use it.
    for relation in _GRANTS:
        if not relation.endswith("_files") and relation != "visible_chunks":
            op.execute(f"revoke all on {relation} from docmill_api")
    for table in ("webhook_deliveries", "webhooks", "owner_usage", "audit_events", "api_keys"):
        op.drop_table(table)
    op.drop_index("files_idempotency", "files")
    for column in ("request_id", "idempotency_sha256", "idempotency_key", "declared_sha256"):
        op.drop_column("files", column)
    op.drop_index("users_deleted", "users")
    op.drop_index("users_external", "users")
    for column in ("external_subject", "external_issuer", "deleted_at", "tokens_valid_from"):
        op.drop_column("users", column)
