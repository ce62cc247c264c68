"""The tables of ``benchmarks.queue``, and whether docmill keeps its promises in them."""

from collections.abc import Mapping, Sequence
from statistics import median

from rich.console import Console
from rich.table import Table

_OURS, _STOCK, _BULLMQ = "docmill", "stock Dramatiq", "BullMQ"
#: Upper ends of the classes of the histogram, in milliseconds.
_CLASSES = (1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0, 300.0, float("inf"))
_BAR = 15

Samples = Mapping[str, Sequence[float]]


def show(console: Console, latencies: Samples, rates: Samples) -> int:
    """Print everything; the exit status: 1 if a promise is broken."""
    console.print()
    console.print(_table(latencies, rates))
    console.print(_histogram(latencies))
    broken = _broken(latencies, rates)
    for sentence in broken:
        console.print(sentence, style="red")
    if not broken:
        console.print("docmill's latency is no worse than BullMQ's, its throughput no less than")
        console.print("stock Dramatiq's.", style="green")
    return 1 if broken else 0


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest sample that at least this share of the (sorted) samples does not exceed."""
    return ordered[max(0, -(-len(ordered) * int(share * 1000) // 1000) - 1)]


def _table(latencies: Samples, rates: Samples) -> Table:
    table = Table(title="Idle enqueue to start (ms), and a drain of no-op jobs", width=78)
    table.add_column("queue")
    for name in ("p50", "p99", "max", "jobs/s", "lowest"):
        table.add_column(name, justify="right")
    for name, samples in latencies.items():
        table.add_row(
            name,
            f"{percentile(samples, 0.5):.2f}",
            f"{percentile(samples, 0.99):.2f}",
            f"{samples[-1]:.2f}",
            f"{median(rates[name]):,.0f}",
            f"{min(rates[name]):,.0f}",
        )
    return table


def _histogram(latencies: Samples) -> Table:
    table = Table(title="How many messages started within", width=78)
    table.add_column("ms", justify="right", width=5)
    for name in latencies:
        table.add_column(name, width=_BAR + 5)
    below = 0.0
    for upper in _CLASSES:
        label = f"> {below:g}" if upper == float("inf") else f"{upper:g}"
        row = []
        for samples in latencies.values():
            count = sum(below < sample <= upper for sample in samples)
            bar = "█" * -(-count * _BAR // len(samples))
            row.append(f"{bar} {count or ''}".strip())
        if any(row):
            table.add_row(label, *row)
        below = upper
    return table


def _broken(latencies: Samples, rates: Samples) -> list[str]:
    """A sentence for each promise that these numbers do not keep."""
    sentences = []
    for share in (0.5, 0.99):
        ours, theirs = (percentile(latencies[name], share) for name in (_OURS, _BULLMQ))
        if ours > theirs:
            sentences.append(f"p{share * 100:.0f} is {ours:.2f} ms; BullMQ's is {theirs:.2f} ms.")
    ours, stock = (median(rates[name]) for name in (_OURS, _STOCK))
    if ours < stock:
        sentences.append(f"{ours:,.0f} jobs/s are fewer than stock Dramatiq's {stock:,.0f}.")
    return sentences
