"""After the storm: owners delete files while the store goes away, and then both sides must agree.

What the reconciliation of the janitor would still find is counted with its clock two days ahead,
so that no object is too young to be looked at.
"""

import os
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Protocol
from unittest import mock

from sqlalchemy import Engine, text

from docmill_janitor import resources as composition
from docmill_janitor.jobs import reconcile_storage
from docmill_janitor.settings import JanitorSettings
from tests.chaos.ground import Ground
from tests.chaos.systems import System, Upload


class _Deleting(System, Protocol):
    def delete(self, upload: Upload) -> None: ...


#: One in so many is deleted; the store is away for the second quarter of them.
_ONE_IN = 8
_GONE_WITHIN_SECONDS = 120.0
_DELETING = text("select count(*) from files where status = 'DELETING'")


def delete_some(ground: Ground, system: _Deleting, uploads: Sequence[Upload]) -> None:
    """Delete files through the api, the store killed on the way.

    Raises:
        RuntimeError: they were not gone two minutes after the store was back.
    """
    chosen = uploads[::_ONE_IN]
    for number, upload in enumerate(chosen):
        if number == len(chosen) // 4:
            ground.stack.s3.kill()
        if number == len(chosen) // 2:
            ground.stack.s3.start()
        system.delete(upload)
    deadline = time.monotonic() + _GONE_WITHIN_SECONDS
    while left := _deleting(system.engine):
        if time.monotonic() > deadline:
            raise RuntimeError(f"{left} files are still being deleted.")
        system.fleet.supervise()
        time.sleep(0.2)


def unreconciled(environment: Mapping[str, str]) -> list[str]:
    """What ``reconcile_storage --dry-run`` finds: a line each."""
    with mock.patch.dict(os.environ, environment, clear=True):
        resources = composition.build(JanitorSettings.load())
    try:
        later = resources.now() + timedelta(days=2)
        found = reconcile_storage.run(resources, now=later, limit=1_000, dry_run=True)
    finally:
        resources.engine.dispose()
    assert found.counts["compared"] > 0
    return list(found.findings)


def _deleting(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(_DELETING).scalar_one())
