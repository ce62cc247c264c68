"""What a scrape of a process returns: its metrics in Prometheus' text format.

docs/metrics.md names every metric. Those of several processes behind one port (gunicorn's workers)
are added up from files in a directory, which must be set before any metric is declared.
"""

import platform
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector


class _BuildInfo(Collector):
    """Which program this is; not an instrument, since in a directory it would outlive a process."""

    def __init__(self, service: str) -> None:
        self._labels = (service, version("docmill-shared"), platform.python_version())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Called by a scrape."""
        family = GaugeMetricFamily(
            "docmill_build_info",
            "Always 1; the labels say what runs.",
            labels=("service", "version", "python"),
        )
        family.add_metric(self._labels, 1)
        yield family


def of_this_process(service: str, *collectors: Collector) -> Callable[[], bytes]:
    """The metrics of one process, its memory and processor time included.

    ``collectors`` are asked at each scrape, for what no process counts.
    """
    # A second series for every counter, of no use to a server that knows resets.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    for collector in (_BuildInfo(service), *collectors):
        registry.register(collector)
    return lambda: generate_latest(REGISTRY) + generate_latest(registry)


def of_processes(service: str, directory: Path) -> Callable[[], bytes]:
    """The sum over all processes that ever wrote to this directory, those that ended included."""
    registry = CollectorRegistry()
    registry.register(_BuildInfo(service))
    MultiProcessCollector(registry, path=str(directory))  # type: ignore[no-untyped-call]
    return lambda: generate_latest(registry)
