"""A worker whose clock is wrong: ``dramatiq tests.chaos.skewed_worker``.

``CHAOS_WORKER`` names the module of the worker, ``CHAOS_SKEW_SECONDS`` how far its clock is ahead.
What Python reads through ``time.time`` is shifted, which is what brokers, brackets of time and
libraries use; timers (``time.monotonic``) and the system's own clock are not.
"""

import importlib
import os
import time

_SKEW = float(os.environ["CHAOS_SKEW_SECONDS"])
_time, _time_ns = time.time, time.time_ns


def _skewed_time() -> float:
    return _time() + _SKEW


def _skewed_time_ns() -> int:
    return _time_ns() + int(_SKEW * 1e9)


time.time = _skewed_time
time.time_ns = _skewed_time_ns

broker = importlib.import_module(os.environ["CHAOS_WORKER"]).broker
