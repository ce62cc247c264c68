"""Counts of files by state: exact while that is cheap, and cheap when there are many."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Engine, event, text

from docmill_shared.files import census
from tests.owners import new_owner

COUNTS = {
    "COMPLETED": 30_000,
    "DUPLICATE": 3_000,
    "FAILED": 300,
    "PENDING": 40,
    "QUEUED": 30,
    "PROCESSING": 20,
    "DELETING": 10,
}
_INSERT = text("""
insert into files (id, owner_id, name, media_type, size_bytes, object_key, status, sha256,
    failure_reason, lease_token, queued_at)
select id, :owner, 'a.txt', 'text/plain', 5, 'uploads/' || id, :status, uuid_send(id),
    case when :status = 'FAILED' then 'corrupt' end,
    case when :status = 'PROCESSING' then id end, now()
from (select gen_random_uuid() as id from generate_series(1, :files)) made
""")


@pytest.fixture
def many(engine: Engine) -> Iterator[Connection]:
    """A connection to a database with so many files, none committed."""
    owner = new_owner(engine, objects=None)  # type: ignore[arg-type]
    with engine.connect() as connection:
        for status, files in COUNTS.items():
            parameters = {"owner": owner.id, "status": status, "files": files}
            connection.execute(_INSERT, parameters)
        yield connection
        connection.rollback()


def test_a_small_table_is_counted(many: Connection) -> None:
    assert census.by_status(many) == COUNTS


def test_an_empty_table_has_a_zero_for_every_state(engine: Engine) -> None:
    with engine.connect() as connection:
        assert census.by_status(connection) == dict.fromkeys(COUNTS, 0)


def test_a_large_table_is_estimated_where_counting_would_read_it(
    many: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(census, "EXACT_BYTES", 0)
    many.execute(text("analyze files"))
    found = census.by_status(many)
    for status in ("COMPLETED", "DUPLICATE"):
        assert found[status] == pytest.approx(COUNTS[status], rel=0.2)
    on_their_way = COUNTS.keys() - {"COMPLETED", "DUPLICATE"}
    assert {each: found[each] for each in on_their_way} == {
        each: COUNTS[each] for each in on_their_way
    }


def test_a_state_with_very_many_files_is_estimated_too(
    many: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(census, "EXACT_BYTES", 0)
    monkeypatch.setattr(census, "COUNTED", 100)
    many.execute(text("analyze files"))
    found = census.by_status(many)
    assert found["FAILED"] == pytest.approx(COUNTS["FAILED"], rel=0.5)
    assert found["FAILED"] >= 100
    assert found["PENDING"] == COUNTS["PENDING"]


def test_a_large_table_without_statistics_tells_what_it_can(
    many: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(census, "EXACT_BYTES", 0)
    found = census.by_status(many)
    assert found.keys() == COUNTS.keys() - {"COMPLETED", "DUPLICATE"}


def test_a_large_table_is_not_read(many: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(census, "EXACT_BYTES", 0)
    many.execute(text("analyze files"))
    asked: list[tuple[str, object]] = []

    def note(*arguments: object) -> None:
        asked.append((str(arguments[2]), arguments[3]))

    event.listen(many, "before_cursor_execute", note)
    census.by_status(many)
    event.remove(many, "before_cursor_execute", note)
    assert len(asked) == 3
    for statement, parameters in asked:
        plan = many.exec_driver_sql(f"explain {statement}", parameters)  # type: ignore[arg-type]
        assert "Seq Scan on files" not in "\n".join(plan.scalars())
