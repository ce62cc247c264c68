"""docs/operations.md names every job, when it runs by default, and only settings that exist."""

import re
from pathlib import Path

from docmill_janitor.schedule import schedule
from docmill_janitor.settings import JanitorSettings
from tests.settings_fields import fields

TEXT = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
REQUIRED = {
    "database_url": "postgresql://host/name",
    "redis_url": "redis://host",
    "s3_endpoint": "http://host",
    "s3_access_key": "key",
    "s3_secret_key": "0c5f7e91b2d846a3",
}


def when(cron: str) -> str:
    """As the table says it: ``every 5 s`` for what has seconds."""
    seconds, *rest = cron.split()
    if len(rest) == 4:
        return f"`{cron}`"
    return f"every {seconds.removeprefix('*/') if seconds != '0' else '60'} s"


def test_every_job_stands_in_the_table_with_its_times() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+?) \|", TEXT, re.MULTILINE))
    jobs = schedule(JanitorSettings.model_validate(REQUIRED))
    assert {job.name: rows.get(job.name) for job in jobs} == {
        job.name: when(job.cron) for job in jobs
    }


def test_settings_that_it_names_exist() -> None:
    named = set(re.findall(r"`([A-Z][A-Z0-9]*_[A-Z0-9_]+)`", TEXT))
    assert named
    assert named <= {name.upper() for name in fields()}
