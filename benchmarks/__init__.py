"""Measurements of the running product: ``python -m benchmarks.queue``, ``benchmarks.memory``.

No part of it, and imported by nothing in it. Each starts what it measures, prints a table, ends
with status 1 where a bound is broken, and leaves nothing running.
"""
