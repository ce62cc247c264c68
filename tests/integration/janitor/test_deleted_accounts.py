"""remove_deleted_accounts: everything of the account goes, nothing of anybody else's."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete, func, insert, select, text

from docmill_janitor.jobs import finish_deletions, remove_deleted_accounts
from docmill_janitor.resources import Resources
from docmill_shared import closed_accounts
from docmill_shared.errors import StorageUnavailable
from docmill_shared.files import deletions
from docmill_shared.schema import ApiKey, Chunk, File, RefreshToken, User, Webhook
from docmill_shared.states import FileStatus, Visibility
from tests.integration.janitor.file_states import add_file, chunk_count, statuses, stored
from tests.owners import Owner, new_owner

S = FileStatus


@pytest.fixture(autouse=True)
def nothing_left(resources: Resources) -> None:
    """What earlier tests of the module left must not be swept in this one."""
    with resources.engine.begin() as connection:
        connection.execute(delete(File))
        connection.execute(delete(User))


@pytest.fixture
def now(resources: Resources) -> datetime:
    return resources.now()


def close(owner: Owner) -> None:
    with owner.engine.begin() as connection:
        assert closed_accounts.close(
            connection, owner.id, password_hash="-", nobodys_hash="nobody's"
        )


def files_in_every_state(owner: Owner, since: datetime) -> list[UUID]:
    return [
        add_file(owner, S.PENDING, since),
        add_file(owner, S.QUEUED, since),
        add_file(owner, S.PROCESSING, since),
        add_file(owner, S.COMPLETED, since, passages=2, sha256=b"a" * 32),
        add_file(
            owner, S.COMPLETED, since, passages=1, sha256=b"b" * 32, visibility=Visibility.PUBLIC
        ),
        add_file(owner, S.DUPLICATE, since),
        add_file(owner, S.FAILED, since),
        add_file(owner, S.DELETING, since),
    ]


def accounts(resources: Resources) -> set[UUID]:
    with resources.engine.connect() as connection:
        return set(connection.execute(select(User.id)).scalars())


def rows(resources: Resources, model: Any, owner_column: Any, owner: Owner) -> int:
    with resources.engine.connect() as connection:
        return connection.execute(
            select(func.count()).select_from(model).where(owner_column == owner.id)
        ).scalar_one()


def test_files_in_every_state_go_with_their_objects_and_passages_and_the_account(
    resources: Resources, owner: Owner, now: datetime
) -> None:
    # Given two accounts with the same files, keys, sessions and webhooks; one of them was deleted
    other = new_owner(resources.engine, resources.objects)
    kept = files_in_every_state(other, now)
    files_in_every_state(owner, now)
    for each in (owner, other):
        with resources.engine.begin() as connection:
            values: dict[str, Any] = {"user_id": each.id, "id": uuid4()}
            connection.execute(
                insert(ApiKey).values(
                    **values, name="k", prefix="dmk_", key_sha256=each.id.bytes, scopes=[]
                )
            )
            connection.execute(
                insert(RefreshToken).values(
                    **values, family_id=uuid4(), token_sha256=each.id.bytes, expires_at=now
                )
            )
            connection.execute(
                insert(Webhook).values(
                    id=uuid4(), owner_id=each.id, url="https://x", events=["file.deleted"]
                )
            )
    close(owner)
    # When the job runs, and the job of interrupted deletions for the file that was DELETING before
    swept = remove_deleted_accounts.run(resources, now=now, limit=100)
    assert swept.counts == {"files": 7, "accounts": 0, "kept": 0}
    finish_deletions.run(resources, now=now, limit=100)
    again = remove_deleted_accounts.run(resources, now=now, limit=100)
    # Then nothing of it is left
    assert again.counts == {"files": 0, "accounts": 1, "kept": 0}
    assert owner.id not in accounts(resources)
    assert stored(resources, owner) == set()
    for model, column in (
        (File, File.owner_id),
        (Chunk, Chunk.owner_id),
        (ApiKey, ApiKey.user_id),
        (RefreshToken, RefreshToken.user_id),
        (Webhook, Webhook.owner_id),
    ):
        assert rows(resources, model, column, owner) == 0
    # And of the other, everything but the file that it had deleted itself
    assert other.id in accounts(resources)
    assert set(statuses(resources.engine)) == set(kept[:-1])
    assert chunk_count(resources.engine) == 3
    assert rows(resources, ApiKey, ApiKey.user_id, other) == 1
    assert remove_deleted_accounts.run(resources, now=now, limit=100).idle


def test_public_files_go_first_and_a_sweep_is_bounded(
    resources: Resources, owner: Owner, now: datetime
) -> None:
    old = add_file(owner, S.COMPLETED, now - timedelta(days=1), sha256=b"a" * 32)
    young = add_file(
        owner, S.COMPLETED, now, passages=1, sha256=b"b" * 32, visibility=Visibility.PUBLIC
    )
    close(owner)
    swept = remove_deleted_accounts.run(resources, now=now, limit=1)
    assert (swept.counts["files"], swept.more) == (1, True)
    assert set(statuses(resources.engine)) == {old}
    assert young not in stored(resources, owner)
    swept = remove_deleted_accounts.run(resources, now=now, limit=1)
    assert (swept.counts, swept.more) == ({"files": 1, "accounts": 1, "kept": 0}, True)
    swept = remove_deleted_accounts.run(resources, now=now, limit=1)
    assert (swept.idle, swept.more) == (True, False)


def test_a_dry_run_says_what_it_would_do(resources: Resources, owner: Owner, now: datetime) -> None:
    file_id = add_file(owner, S.COMPLETED, now, passages=1, sha256=b"a" * 32)
    close(owner)
    swept = remove_deleted_accounts.run(resources, now=now, limit=10, dry_run=True)
    assert swept.counts == {"files": 1, "accounts": 1, "kept": 0}
    since = now.isoformat(sep=" ", timespec="seconds")
    assert swept.findings == (
        f"delete file {file_id} (COMPLETED since {since})",
        f"remove account {owner.id}",
    )
    assert statuses(resources.engine) == {file_id: S.COMPLETED}
    assert stored(resources, owner) == {file_id}


def test_an_account_stays_until_its_objects_are_gone_and_holds_up_nobody(
    resources: Resources, owner: Owner, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a store that is away, and an account with a file
    file_id = add_file(owner, S.COMPLETED, now, sha256=b"a" * 32)
    close(owner)

    def away(keys: Any) -> list[str]:
        raise StorageUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(resources.objects, "delete_many", away)
        swept = remove_deleted_accounts.run(resources, now=now, limit=10)
        assert (swept.counts, swept.more) == ({"files": 0, "accounts": 0, "kept": 1}, False)
        # Then an account without files goes meanwhile, even if only one is looked at
        patch.setattr(remove_deleted_accounts, "_ACCOUNTS", 1)
        other = new_owner(resources.engine, resources.objects)
        close(other)
        swept = remove_deleted_accounts.run(resources, now=now, limit=10)
        assert swept.counts["accounts"] == 1
        assert accounts(resources) == {owner.id}
    assert statuses(resources.engine) == {file_id: S.DELETING}
    # And when the store is back, the rest follows
    finish_deletions.run(resources, now=now, limit=10)
    assert remove_deleted_accounts.run(resources, now=now, limit=10).counts["accounts"] == 1
    assert accounts(resources) == set()


def test_a_file_that_is_reserved_in_the_last_moment_is_not_forgotten(
    resources: Resources, owner: Owner, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    close(owner)
    listed = closed_accounts.listed

    def then_reserved(*arguments: Any, **named: Any) -> list[UUID]:
        found = listed(*arguments, **named)
        if rows(resources, File, File.owner_id, owner) == 0:
            add_file(owner, S.PENDING, now)
        return found

    monkeypatch.setattr(closed_accounts, "listed", then_reserved)
    monkeypatch.setattr(deletions, "take_of_owners", lambda *_, **__: [])
    assert remove_deleted_accounts.run(resources, now=now, limit=10).counts["accounts"] == 0
    monkeypatch.undo()
    swept = remove_deleted_accounts.run(resources, now=now, limit=10)
    assert swept.counts == {"files": 1, "accounts": 1, "kept": 0}


def test_accounts_that_were_not_deleted_are_never_touched(
    resources: Resources, owner: Owner, now: datetime
) -> None:
    files = files_in_every_state(owner, now)
    assert remove_deleted_accounts.run(resources, now=now, limit=100).idle
    assert set(statuses(resources.engine)) == set(files)
    with resources.engine.begin() as connection:
        assert not closed_accounts.remove(connection, owner.id)
        connection.execute(text("delete from files"))
        assert not closed_accounts.remove(connection, owner.id)
