"""trim_audit_log, and keys that ended: what goes, and what is spared to the moment."""

from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete, insert, select

from docmill_janitor.jobs import clean_expired_tokens, trim_audit_log
from docmill_janitor.resources import Resources
from docmill_shared.schema import ApiKey, AuditEvent
from tests.integration.janitor.conftest import Build
from tests.owners import Owner

MOMENT = timedelta(microseconds=1)


@pytest.fixture(autouse=True)
def no_events(resources: Resources) -> None:
    with resources.engine.begin() as connection:
        connection.execute(delete(AuditEvent))


def happened(resources: Resources, at: datetime) -> UUID:
    event_id = uuid4()
    with resources.engine.begin() as connection:
        connection.execute(insert(AuditEvent).values(id=event_id, at=at, event="login_failed"))
    return event_id


def remembered(resources: Resources) -> set[UUID]:
    with resources.engine.connect() as connection:
        return set(connection.execute(select(AuditEvent.id)).scalars())


def test_old_events_go_at_the_boundary(build: Build) -> None:
    resources = build(AUDIT_RETENTION_DAYS="7")
    now, week = resources.now(), timedelta(days=7)
    happened(resources, now - week - MOMENT)
    kept = {happened(resources, now - week), happened(resources, now)}
    assert trim_audit_log.run(resources, now=now, limit=10).counts == {"events": 1}
    assert remembered(resources) == kept


def test_a_sweep_is_bounded_and_takes_the_oldest_and_a_dry_run_nothing(
    resources: Resources,
) -> None:
    now = resources.now()
    old = [happened(resources, now - timedelta(days=366 + days)) for days in range(5)]
    dry = trim_audit_log.run(resources, now=now, limit=10, dry_run=True)
    assert dry.findings == ("delete 5 events older than 365 days",)
    assert remembered(resources) == set(old)
    swept = trim_audit_log.run(resources, now=now, limit=3)
    assert (swept.counts, swept.more) == ({"events": 3}, True)
    assert remembered(resources) == set(old[:2])
    assert trim_audit_log.run(resources, now=now, limit=3).more is False


def test_keys_go_a_month_after_their_end(resources: Resources, owner: Owner) -> None:
    now = resources.now()
    age = clean_expired_tokens.KEYS_KEPT

    def key(**times: datetime) -> UUID:
        key_id = uuid4()
        with resources.engine.begin() as connection:
            connection.execute(
                insert(ApiKey).values(
                    id=key_id,
                    user_id=owner.id,
                    name="k",
                    prefix="dmk_",
                    key_sha256=key_id.bytes,
                    scopes=[],
                    **times,
                )
            )
        return key_id

    key(revoked_at=now - age - MOMENT)
    key(expires_at=now - age - MOMENT)
    kept = {key(), key(revoked_at=now - age), key(expires_at=now - age)}
    assert clean_expired_tokens.run(resources, now=now, limit=10).counts["api_keys"] == 2
    with resources.engine.connect() as connection:
        query = select(ApiKey.id).where(ApiKey.user_id == owner.id)
        assert set(connection.execute(query).scalars()) == kept
