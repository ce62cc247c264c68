"""docs/metrics.md names every metric with its type and its labels, and queries only what exists."""

import re
from pathlib import Path
from typing import Any

from prometheus_client import REGISTRY, Counter, Gauge, Histogram

from docmill_api import metrics as of_api
from docmill_ingest import metrics as of_ingest
from docmill_janitor import backlog_metrics
from docmill_janitor import metrics as of_janitor
from docmill_shared import exposition, provider_metrics

TEXT = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
_ROW = re.compile(r"^\| `(docmill_\w+)` \| (\w+) \|([^|]*)\|", re.MULTILINE)

Described = dict[str, tuple[str, tuple[str, ...]]]


def documented() -> Described:
    """Type and labels by name, as the tables have them."""
    return {
        name: (kind, tuple(re.findall(r"`(\w+)`", labels)))
        for name, kind, labels in _ROW.findall(TEXT)
    }


def declared() -> Described:
    """The same of every instrument, and of what is measured at the scrape."""
    found: Described = {}
    for module in (of_api, of_ingest, of_janitor, provider_metrics):
        for each in vars(module).values():
            if isinstance(each, Counter | Gauge | Histogram):
                name = each._name + ("_total" if each._type == "counter" else "")
                found[name] = (each._type, each._labelnames)
    families: list[Any] = [
        *backlog_metrics._queue_families(),
        *backlog_metrics._file_families(),
        *backlog_metrics._webhook_families(),
        *exposition._BuildInfo("test").collect(),
    ]
    found |= {each.name: (each.type, tuple(each._labelnames)) for each in families}
    found["docmill_collection_up"] = ("gauge", ("source",))
    return found


def test_the_tables_are_what_is_declared() -> None:
    assert documented() == declared()


def test_every_name_in_the_queries_is_one_of_them() -> None:
    named = set(re.findall(r"docmill_\w+", TEXT))
    suffixed = {name + end for name in documented() for end in ("_sum", "_count", "_bucket")}
    assert named <= documented().keys() | suffixed


def test_names_follow_the_conventions() -> None:
    for name, (kind, labels) in declared().items():
        assert name.endswith("_total") == (kind == "counter"), name
        assert not re.search(r"_(ms|milliseconds|minutes|kb|mb|count)\b", name), name
        assert "seconds" in name or "duration" not in name, name
        assert not {"id", "file", "file_id", "owner", "owner_id", "path", "user"} & {*labels}, name


def test_no_metric_of_docmill_is_declared_elsewhere() -> None:
    everywhere = {
        family.name + ("_total" if family.type == "counter" else "")
        for family in REGISTRY.collect()
        if family.name.startswith("docmill_")
    }
    assert everywhere <= declared().keys()
