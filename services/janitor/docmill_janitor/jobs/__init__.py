"""The janitor's jobs, one module each: ``run(resources, *, now, limit) -> Swept``.

A run is bounded in rows, may be repeated, and is safe to run twice at once. Jobs know nothing of
queues' actors, of HTTP or of each other.
"""
