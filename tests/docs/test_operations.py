"""docs/operations.md leads to every task, and names every job and only settings that exist."""

import re
from pathlib import Path

from docmill_janitor.schedule import schedule
from docmill_janitor.settings import JanitorSettings
from tests.settings_fields import fields

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "operations.md").read_text()
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


def test_it_leads_to_all_that_an_operator_needs_and_every_link_ends_somewhere() -> None:
    links = re.findall(r"\]\(([\w.]*)(?:#([\w-]+))?\)", TEXT)
    assert {
        ("deployment.md", "install-with-compose"),
        ("deployment.md", "install-on-kubernetes"),
        ("deployment.md", "configuration"),
        ("deployment.md", "scaling"),
        ("deployment.md", "health"),
        ("metrics.md", "metrics"),
        ("deployment.md", "backup-and-restore"),
        ("deployment.md", "upgrade"),
        ("", "when-something-is-wrong"),
    } <= set(links)
    for name, anchor in links:
        page = (DOCS / (name or "operations.md")).read_text()
        headings = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
        anchors = {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}
        assert not anchor or anchor in anchors, (name, anchor)


def test_settings_that_it_names_exist() -> None:
    named = set(re.findall(r"`([A-Z][A-Z0-9]*_[A-Z0-9_]+)`", TEXT))
    assert named
    assert named <= {name.upper() for name in fields()}
