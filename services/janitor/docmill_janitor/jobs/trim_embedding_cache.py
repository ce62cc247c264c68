"""Forget embeddings that were long not used, and the oldest when there are too many."""

from datetime import datetime, timedelta

from docmill_janitor.resources import Resources
from docmill_janitor.swept import Swept
from docmill_shared import embedding_cache


def run(resources: Resources, *, now: datetime, limit: int, dry_run: bool = False) -> Swept:
    """Delete up to ``limit`` embeddings; what is forgotten is paid for again when it comes back."""
    settings = resources.settings
    with resources.sweeping(dry_run=dry_run) as connection:
        unused = embedding_cache.delete_unused(
            connection, now=now, age=timedelta(days=settings.embedding_cache_days), limit=limit
        )
        surplus = 0
        if unused < limit:
            surplus = embedding_cache.delete_surplus(
                connection, keep=settings.embedding_cache_rows, limit=limit - unused
            )
    return Swept({"unused": unused, "surplus": surplus}, more=unused + surplus == limit)
