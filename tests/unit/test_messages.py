"""Messages are contracts: old ones stay readable, and each names its actor once."""

import json

from docmill_shared.messages import IngestFile, Message, RunJob


def test_a_message_survives_the_wire() -> None:
    for message in (IngestFile(file_id="f"), RunJob(job="j", slot="2030-01-01T00:00:00+00:00")):
        wire = json.loads(json.dumps(message.to_fields()))
        assert type(message).from_fields(wire) == message


def test_a_field_of_a_newer_sender_is_ignored() -> None:
    assert IngestFile.from_fields({"file_id": "f", "priority": 3}) == IngestFile(file_id="f")


def test_names_are_stable() -> None:
    """A message that waits during an upgrade carries these names. Change them nowhere."""
    assert {(kind.actor, kind.queue) for kind in Message.__subclasses__()} == {
        ("ingest_file", "ingest"),
        ("ingest_bulk_file", "ingest_bulk"),
        ("run_job", "janitor"),
        ("welcome_user", "mail"),
    }
