"""What the janitor counts: runs of jobs and webhooks in its worker, slots in its scheduler."""

from prometheus_client import Counter, Histogram

RUNS = Counter(
    "docmill_job_runs_total",
    "Runs of recurring jobs that ended: `done`, `refused` or `failed`.",
    ("job", "result"),
)
RUN_SECONDS = Histogram(
    "docmill_job_duration_seconds",
    "How long a run took.",
    ("job",),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300),
)
ROWS = Counter(
    "docmill_job_rows_total",
    "What runs did, by job and by kind, as the history counts it; without dry runs.",
    ("job", "kind"),
)
SLOTS = Counter(
    "docmill_schedule_slots_total",
    "Slots of the schedule: `fired` by this process, `behind` (workers are, so it was left out),"
    " `failed` (Postgres or Redis was away; it is tried again) or `missed`.",
    ("job", "result"),
)
WEBHOOK_DELIVERIES = Counter(
    "docmill_webhook_deliveries_total",
    "Attempts at deliveries of webhooks: `delivered`, `retried` later, `failed` for good, `refused`"
    " (the target is not a public address; tried again too) or `lease_lost`.",
    ("outcome",),
)
WEBHOOK_SECONDS = Histogram(
    "docmill_webhook_attempt_duration_seconds",
    "How long an attempt took, the look-up of the name included.",
    buckets=(0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 60),
)
