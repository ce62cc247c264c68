"""What the janitor can be told."""

from datetime import timedelta
from typing import Annotated, Self

from apscheduler.triggers.cron import CronTrigger
from pydantic import AfterValidator, Field, model_validator

from docmill_janitor.mail_settings import MailSettings
from docmill_shared.settings import (
    DatabaseSettings,
    DemoSettings,
    ServiceSettings,
    WebhookSettings,
)


def _cron(expression: str) -> str:
    try:
        CronTrigger.from_crontab(expression)
    except ValueError as error:
        raise ValueError(f"not a cron expression of five fields ({error})") from None
    return expression


Cron = Annotated[str, AfterValidator(_cron)]


class JanitorSettings(
    DatabaseSettings, ServiceSettings, DemoSettings, MailSettings, WebhookSettings
):
    """The settings of the janitor service. Every cron expression is in UTC."""

    dispatch_seconds: int = Field(
        2, ge=1, le=60, description="How often due files are sent to the workers."
    )
    recover_seconds: int = Field(
        5, ge=1, le=60, description="How often files of dead workers are looked for."
    )
    max_deliveries: int = Field(
        3, ge=1, le=20, description="A file whose worker died this often has FAILED."
    )
    finish_deletions_seconds: int = Field(
        30, ge=1, le=60, description="How often deletions that were interrupted are finished."
    )
    remove_deleted_accounts_seconds: int = Field(
        60, ge=1, le=60, description="How often deleted accounts are looked for that left files."
    )
    welcome_new_users_seconds: int = Field(
        60, ge=1, le=60, description="How often new users without a welcome mail are looked for."
    )
    clean_expired_tokens_cron: Cron = Field(
        "0 * * * *", description="When expired tokens are deleted; cron, in UTC."
    )
    clean_abandoned_files_cron: Cron = Field(
        "0 0 * * *", description="When files that were never uploaded or that FAILED are deleted."
    )
    abandoned_after_hours: int = Field(
        24, ge=1, description="How long such files stay after their reservation or failure."
    )
    demo_admin_email: str | None = Field(
        None, description="The account whose files stay in demo mode; needed with DEMO_MODE=true."
    )
    clean_demo_public_files_cron: Cron = Field(
        "*/10 * * * *", description="When public files are deleted in demo mode."
    )
    clean_demo_private_files_cron: Cron = Field(
        "*/30 * * * *", description="When private files are deleted in demo mode."
    )
    reconcile_storage_cron: Cron = Field(
        "30 3 * * *", description="When the bucket and the files table are compared."
    )
    reconcile_grace_hours: int = Field(
        24, ge=1, description="An object without a row is left alone until it is this old."
    )
    trim_embedding_cache_cron: Cron = Field(
        "45 3 * * *", description="When embeddings that were long not used are forgotten."
    )
    embedding_cache_days: int = Field(90, ge=1, description="How long unused embeddings are kept.")
    embedding_cache_rows: int = Field(
        2_000_000, ge=1, description="Most embeddings that are kept: about 2 GB for each million."
    )
    prune_history_cron: Cron = Field(
        "15 4 * * *", description="When old runs of jobs are deleted from the history."
    )
    history_days: int = Field(30, ge=1, description="How long runs of jobs are kept.")
    trim_webhook_deliveries_cron: Cron = Field(
        "50 * * * *", description="When old deliveries of webhooks are deleted."
    )
    webhook_delivery_days: int = Field(
        30, ge=1, description="How long deliveries of webhooks are kept."
    )
    trim_audit_log_cron: Cron = Field(
        "25 4 * * *", description="When old events are deleted from the audit log."
    )
    audit_retention_days: int = Field(
        365, ge=1, description="How long security events are kept in the audit log."
    )
    promote_large_owners_cron: Cron = Field(
        "20 * * * *", description="When large owners get an index of their own, or lose it."
    )
    promote_above_chunks: int = Field(
        50_000, ge=1_000, description="An owner with more passages gets an index of their own."
    )
    catch_up_seconds: int = Field(
        3_600,
        ge=0,
        description="A slot that was missed while the scheduler was down fires once on its "
        "return if it is no older than this.",
    )
    sweep_rows: int = Field(1_000, ge=1, description="Most rows that one run of a job works on.")

    @model_validator(mode="after")
    def _a_demo_has_an_admin(self) -> Self:
        if self.demo_mode and not self.demo_admin_email:
            raise ValueError("DEMO_ADMIN_EMAIL is not set, but DEMO_MODE=true needs it")
        return self

    @property
    def abandoned_after(self) -> timedelta:
        """See ``abandoned_after_hours``."""
        return timedelta(hours=self.abandoned_after_hours)

    @property
    def reconcile_grace(self) -> timedelta:
        """See ``reconcile_grace_hours``."""
        return timedelta(hours=self.reconcile_grace_hours)
