"""Delete everybody's public files in a public demonstration, and nowhere else."""

from datetime import datetime

from docmill_janitor import demo_files
from docmill_janitor.resources import Resources
from docmill_janitor.swept import Swept
from docmill_shared.states import Visibility


def run(resources: Resources, *, now: datetime, limit: int, dry_run: bool = False) -> Swept:
    """Delete up to ``limit`` COMPLETED public files; the demo admin's stay.

    Refuses unless ``DEMO_MODE=true``.
    """
    return demo_files.clean(resources, Visibility.PUBLIC, now=now, limit=limit, dry_run=dry_run)
