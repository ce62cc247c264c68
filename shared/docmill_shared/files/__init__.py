"""The files table: all SQL that reads or changes it.

- :mod:`.reservations`: what the API does for an owner: reserve, confirm, read, list, delete;
- :mod:`.claims`: what a worker does under its lease;
- :mod:`.backlog`: how much waits, for operators;
- :mod:`.dispatch`: what the janitor does for files that wait or whose worker is gone;
- :mod:`.deletions`: what it does for files that go;
- :mod:`.reconciliation`: how it compares them with the bucket.

Every step of a file's state is one conditional UPDATE that names the state it comes from, so two
processes can never both take it.
"""
