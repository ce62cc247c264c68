"""dispatch_due and recover_expired_leases, with the clock in the test's hand."""

import threading
from datetime import timedelta
from typing import cast
from uuid import UUID, uuid4

import pytest
from dramatiq import Message
from sqlalchemy import update
from structlog.contextvars import bound_contextvars

from docmill_janitor.jobs import dispatch_due, recover_expired_leases
from docmill_janitor.resources import Resources
from docmill_shared.files import claims, dispatch
from docmill_shared.files.reservations import INTERACTIVE_FILES
from docmill_shared.messages import BULK_QUEUE, INGEST_QUEUE
from docmill_shared.schema import File
from tests.integration.janitor.conftest import Build, sent_file_ids
from tests.owners import Owner, new_owner

LEASE = timedelta(seconds=30)


@pytest.fixture(autouse=True)
def only_this_tests_files(resources: Resources) -> None:
    """Files that earlier tests of the module left must not be due in this one."""
    with resources.engine.begin() as connection:
        connection.execute(
            update(File)
            .where(File.status.in_(["QUEUED", "PROCESSING"]))
            .values(status="DELETING", lease_token=None)
        )


def queued(owner: Owner, *, sent: bool = False) -> UUID:
    file_id = owner.reserve("notes.txt", 10)
    owner.confirm(file_id, sent=sent)
    return file_id


def test_what_is_due_is_sent_once(resources: Resources, owner: Owner) -> None:
    file_id = queued(owner)
    now = resources.now()
    assert dispatch_due.run(resources, now=now, limit=100).counts["sent"] == 1
    assert dispatch_due.run(resources, now=now, limit=100).counts["sent"] == 0
    assert sent_file_ids(resources) == [str(file_id)]


def test_a_message_belongs_to_the_request_that_queued_its_file(
    resources: Resources, owner: Owner
) -> None:
    # Given a file that a request queued, and one of which that is not known
    known, unknown = queued(owner), queued(owner)
    with resources.engine.begin() as connection:
        connection.execute(
            update(File).where(File.id == known).values(request_id="of-the-confirmation")
        )
    # When they are sent by a run that somebody asked for in a request of its own
    with bound_contextvars(request_id="of-an-operator"):
        dispatch_due.run(resources, now=resources.now(), limit=100)
    # Then each message names the request of its file, or none
    client = resources.broker.client
    encoded = cast("list[bytes]", client.hvals(f"dramatiq:{INGEST_QUEUE}.msgs"))
    sent = [Message.decode(each) for each in encoded]
    assert {each.kwargs["file_id"]: each.options.get("request_id") for each in sent} == {
        str(known): "of-the-confirmation",
        str(unknown): None,
    }


def test_what_is_not_due_waits(resources: Resources, owner: Owner) -> None:
    file_id = queued(owner)
    now = resources.now()
    with resources.engine.begin() as connection:
        connection.execute(
            update(File)
            .where(File.id == file_id)
            .values(next_attempt_at=now + timedelta(seconds=60))
        )
    assert dispatch_due.run(resources, now=now, limit=100).counts["sent"] == 0
    later = now + timedelta(seconds=60)
    assert dispatch_due.run(resources, now=later, limit=100).counts["sent"] == 1


def test_a_lost_message_is_sent_again_after_a_while(resources: Resources, owner: Owner) -> None:
    file_id = queued(owner, sent=True)  # the API sent it, and Redis has lost everything
    now = resources.now()
    assert dispatch_due.run(resources, now=now, limit=100).counts["sent"] == 0
    later = now + dispatch_due.LOST_AFTER + timedelta(seconds=1)
    assert dispatch_due.run(resources, now=later, limit=100).counts["sent"] == 1
    assert sent_file_ids(resources) == [str(file_id)]


def test_owners_take_turns(resources: Resources) -> None:
    many, few = (new_owner(resources.engine, resources.objects) for _ in range(2))
    flood = [queued(many) for _ in range(20)]
    single = queued(few)
    swept = dispatch_due.run(resources, now=resources.now(), limit=5)
    assert swept.counts["sent"] == 5
    sent = sent_file_ids(resources)
    assert str(single) in sent[:2], "the newcomer does not stand behind twenty files"
    assert len({*sent} & {str(each) for each in flood}) == 4


def test_the_queue_is_kept_short(build: Build, owner: Owner) -> None:
    resources = build(INGEST_QUEUE_CAP="3", DISPATCH_SECONDS="1")
    for _ in range(INTERACTIVE_FILES + 1):
        queued(owner)
    now = resources.now()
    assert dispatch_due.run(resources, now=now, limit=100).counts["sent"] == 3 + 1
    assert dispatch_due.run(resources, now=now, limit=100).counts["sent"] == 0
    assert len(sent_file_ids(resources)) == 3
    assert len(sent_file_ids(resources, BULK_QUEUE)) == 1


def test_a_full_queue_is_filled_up_as_it_empties(build: Build, owner: Owner) -> None:
    resources = build(INGEST_QUEUE_CAP="2", DISPATCH_SECONDS="60")
    files = {str(queued(owner)) for _ in range(INTERACTIVE_FILES)}
    seen: set[str] = set()
    done = threading.Event()

    def consume() -> None:
        while not done.is_set():
            for key, data in resources.broker.fetch(INGEST_QUEUE, 10):
                seen.add(str(Message.decode(data).kwargs["file_id"]))
                resources.broker.script("ack", INGEST_QUEUE, resources.broker.broker_id, key)
            done.wait(0.02)

    consumer = threading.Thread(target=consume)
    consumer.start()
    swept = dispatch_due.run(resources, now=resources.now(), limit=100)
    done.set()
    consumer.join()
    assert swept.counts["sent"] == INTERACTIVE_FILES, "in one run, though only two fit at a time"
    assert seen | set(sent_file_ids(resources)) == files


def test_what_nobody_waits_for_comes_after(resources: Resources, owner: Owner) -> None:
    """An owner's first files are interactive; the rest of a flood is bulk."""
    files = [queued(owner) for _ in range(INTERACTIVE_FILES + 3)]
    kinds = [row.bulk for row in map(owner.file, files) if row]
    assert kinds == [False] * INTERACTIVE_FILES + [True] * 3
    asked_for = owner.reserve("archive.txt", 10, bulk=True)
    owner.confirm(asked_for)
    row = owner.file(asked_for)
    assert row is not None
    assert row.bulk


def test_more_owners_than_one_statement_looks_at(resources: Resources) -> None:
    owners = [new_owner(resources.engine, resources.objects) for _ in range(30)]
    files = {str(queued(owner)) for owner in owners}
    now = resources.now()
    sent: set[str] = set()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(dispatch, "_OWNERS", 4)
        while len(sent) < len(files):
            with resources.engine.begin() as connection:
                taken = dispatch.take_due(connection, bulk=False, now=now, limit=10)
            assert taken, "every owner's turn comes"
            sent |= {str(each.file_id) for each in taken}
    assert sent == files


def test_an_expired_lease_is_queued_again_at_the_boundary(
    resources: Resources, owner: Owner
) -> None:
    file_id = queued(owner)
    with resources.engine.begin() as connection:
        assert claims.claim(connection, file_id, LEASE)
    claimed = owner.file(file_id)
    assert claimed is not None
    expiry = claimed.lease_expires_at

    assert recover_expired_leases.run(resources, now=expiry, limit=10).idle
    moment_later = expiry + timedelta(microseconds=1)
    swept = recover_expired_leases.run(resources, now=moment_later, limit=10)
    assert swept.counts == {"requeued": 1, "failed": 0}
    file = owner.file(file_id)
    assert file is not None
    assert (file.status, file.lease_token, file.sent_at) == ("QUEUED", None, None)
    assert dispatch_due.run(resources, now=moment_later, limit=10).counts["sent"] == 1


def test_a_recovered_file_keeps_its_place_in_the_queue(resources: Resources, owner: Owner) -> None:
    killed = queued(owner, sent=True)
    with resources.engine.begin() as connection:
        assert claims.claim(connection, killed, LEASE) is not None
    later = [queued(owner) for _ in range(3)]
    now = resources.now() + LEASE + timedelta(seconds=1)
    assert recover_expired_leases.run(resources, now=now, limit=10).counts["requeued"] == 1
    dispatch_due.run(resources, now=now, limit=100)
    assert sent_file_ids(resources) == [str(each) for each in (killed, *later)]


def test_a_file_that_a_worker_hands_back_keeps_its_place(
    resources: Resources, owner: Owner
) -> None:
    handed_back = queued(owner, sent=True)
    with resources.engine.begin() as connection:
        claimed = claims.claim(connection, handed_back, LEASE)
        assert claimed is not None
    later = [queued(owner) for _ in range(3)]
    with resources.engine.begin() as connection:
        claims.retry_later(connection, claimed, None, attempt_error=None)
    dispatch_due.run(resources, now=resources.now(), limit=100)
    assert sent_file_ids(resources) == [str(each) for each in (handed_back, *later)]


def test_a_file_that_kills_its_worker_three_times_has_failed(
    resources: Resources, owner: Owner
) -> None:
    file_id = queued(owner)
    outcomes = []
    for _ in range(3):
        with resources.engine.begin() as connection:
            claimed = claims.claim(connection, file_id, LEASE)
            assert claimed, "recovered files are due at once"
        later = resources.now() + LEASE + timedelta(seconds=1)
        outcomes.append(recover_expired_leases.run(resources, now=later, limit=10).counts)
        with resources.engine.begin() as connection:
            connection.execute(
                update(File)
                .where(File.id == file_id, File.status == "QUEUED")
                .values(next_attempt_at=resources.now())
            )
    assert [each["failed"] for each in outcomes] == [0, 0, 1]
    file = owner.file(file_id)
    assert file is not None
    assert (file.status, file.failure_reason) == ("FAILED", "crashed_worker")
    # And whoever watches it was told, twice of the queue and then of the end
    log = resources.progress
    last_id = log.last_id(owner.id)
    assert last_id is not None
    (told,) = log.since(owner.id, last_id) or []
    assert (told.file_id, told.status) == (file_id, "FAILED")
    assert '"crashed_worker"' in told.data
    assert "3 times" in file.failure_detail


def test_an_orderly_end_forgives_earlier_crashes(resources: Resources, owner: Owner) -> None:
    file_id = queued(owner)
    with resources.engine.begin() as connection:
        connection.execute(update(File).where(File.id == file_id).values(deliveries=2))
        claimed = claims.claim(connection, file_id, LEASE)
        assert claimed
        claims.retry_later(connection, claimed, timedelta(0), attempt_error="no")
    file = owner.file(file_id)
    assert file is not None
    assert file.deliveries == 0


def test_a_live_lease_is_left_alone(resources: Resources, owner: Owner) -> None:
    file_id = queued(owner)
    with resources.engine.begin() as connection:
        assert claims.claim(connection, file_id, LEASE)
        # As after a failed attempt of somebody else's; only the expiry counts.
        connection.execute(update(File).where(File.id == file_id).values(lease_token=uuid4()))
    assert recover_expired_leases.run(resources, now=resources.now(), limit=10).idle
