"""Where the commands find docmill, and the files that only their owner may read."""

from pathlib import Path

import pytest

from docmill_client import Client, DocmillError, ServerFault, TimedOut, Unreachable
from docmill_dev import private_files, session
from docmill_dev.credentials import Credentials
from docmill_dev.session import NoSession, Session

LEFT = Session("http://127.0.0.1:1234", "demo@docmill.example", "secret")


def test_what_was_left_is_found_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    LEFT.write(tmp_path)

    assert session.find({}, tmp_path) == LEFT
    assert (tmp_path / "session.json").stat().st_mode & 0o777 == 0o600


def test_nothing_was_left(tmp_path: Path) -> None:
    with pytest.raises(NoSession, match="Start it with: make up"):
        session.find({}, tmp_path)


@pytest.mark.parametrize(
    ("error", "shown"), [(Unreachable, NoSession), (TimedOut, TimedOut), (ServerFault, ServerFault)]
)
def test_what_runs_and_does_not_answer_in_time_is_not_to_be_started_again(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: type[DocmillError],
    shown: type[DocmillError],
) -> None:
    LEFT.write(tmp_path)

    def fail(_: Client) -> None:
        raise error("It is so.")

    monkeypatch.setattr(Client, "log_in", fail)

    with pytest.raises(DocmillError) as raised:
        session.connect({}, tmp_path)
    assert type(raised.value) is shown


def test_what_is_no_session_counts_as_nothing(tmp_path: Path) -> None:
    for content in ("", "[]", '{"url": "http://127.0.0.1:1"}'):
        (tmp_path / "session.json").write_text(content)
        assert session.read(tmp_path) is None


def test_the_environment_comes_first(tmp_path: Path) -> None:
    LEFT.write(tmp_path)
    environ = {"DOCMILL_EMAIL": "ada@example.org", "DOCMILL_PASSWORD": "hers"}

    assert session.find(environ, tmp_path) == Session(LEFT.url, "ada@example.org", "hers")


def test_the_password_that_was_left_goes_to_no_other_server(tmp_path: Path) -> None:
    LEFT.write(tmp_path)

    with pytest.raises(NoSession, match="DOCMILL_PASSWORD"):
        session.find({"DOCMILL_URL": "https://docmill.example"}, tmp_path)


def test_secrets_are_made_once(tmp_path: Path) -> None:
    first = Credentials.of(tmp_path)

    assert Credentials.of(tmp_path) == first
    assert len(first.jwt_secret) >= 32
    assert len(first.demo_password) >= 10
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_a_secret_that_is_missing_is_added_and_the_other_kept(tmp_path: Path) -> None:
    private_files.write(tmp_path / "secrets.json", {"jwt_secret": "kept" * 10})

    found = Credentials.of(tmp_path)

    assert found.jwt_secret == "kept" * 10
    assert Credentials.of(tmp_path) == found
