"""The janitor's jobs, one module each: ``run(resources, *, now, limit, dry_run) -> Swept``.

A run is bounded in rows, may be repeated, and is safe to run twice at once. A dry run changes
nothing and says what would be done. Jobs know nothing of
queues' actors, of HTTP or of each other.
"""
