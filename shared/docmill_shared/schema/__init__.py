"""The tables. Alembic's migrations build the same ones; ``tests/migration`` proves it.

Their SQL is in the modules that are named for them: ``files``, ``chunks``, ``embedding_cache``,
``accounts``, ``revocations``, ``closed_accounts``, ``api_keys``, ``audit``, ``usage``,
``webhooks``, ``job_runs`` and ``job_schedule`` in this package, the janitor's ``schedule``.

What belongs to an owner is under row-level security: of ``files``, ``chunks``, ``owner_usage``,
``webhooks`` and ``webhook_deliveries`` the api's role sees the caller's rows and nothing else. What
others have published it finds through the views ``visible_chunks`` and ``visible_files``. Policies,
views and triggers are in the migrations only.
"""

from docmill_shared.schema.accounts import ApiKey, AuditEvent, RefreshToken, RevokedToken, User
from docmill_shared.schema.base import Base
from docmill_shared.schema.files import (
    DIMENSIONS,
    TEXT_SEARCH_CONFIG,
    CachedEmbedding,
    Chunk,
    File,
    OwnerUsage,
)
from docmill_shared.schema.jobs import JobRun, ScheduledJobRow, ScheduleSlot
from docmill_shared.schema.webhooks import Webhook, WebhookDelivery

__all__ = [
    "DIMENSIONS",
    "TEXT_SEARCH_CONFIG",
    "ApiKey",
    "AuditEvent",
    "Base",
    "CachedEmbedding",
    "Chunk",
    "File",
    "JobRun",
    "OwnerUsage",
    "RefreshToken",
    "RevokedToken",
    "ScheduleSlot",
    "ScheduledJobRow",
    "User",
    "Webhook",
    "WebhookDelivery",
]
