"""A worker of ``benchmarks.queue``: ``dramatiq benchmarks.queue_worker``, as in production.

Told by its environment: BENCH_BROKER (see :mod:`benchmarks.queue_brokers`), BENCH_REDIS_URL,
BENCH_RESULTS (a file) and BENCH_TOTAL.
"""

import os
from pathlib import Path

import dramatiq

from benchmarks.queue_brokers import declare, make_broker

broker = make_broker(os.environ["BENCH_BROKER"], os.environ["BENCH_REDIS_URL"])
dramatiq.set_broker(broker)
declare(broker, Path(os.environ["BENCH_RESULTS"]), int(os.environ["BENCH_TOTAL"]))
