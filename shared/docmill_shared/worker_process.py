"""Starts a Dramatiq worker whose every line is in the one format, its main process's too.

Dramatiq's command line has a main process that imports nothing of ours and would log in a form of
its own. It is called here as from a shell, with the log configured beforehand.
"""

import runpy
import sys

from docmill_shared.settings import EnvironmentSettings
from docmill_shared.startup import prepare


def run(service: str, settings: type[EnvironmentSettings], module: str) -> None:
    """Run ``dramatiq MODULE`` with this process's own arguments as further options.

    Ends with its status, or with 2 and one sentence if a setting is wrong: before a process is
    forked, so that nothing else is said.
    """
    prepare(service, settings)
    sys.argv = ["dramatiq", module, "--skip-logging", *sys.argv[1:]]
    runpy.run_module("dramatiq", run_name="__main__")
