"""What the janitor can be told."""

from pydantic import Field

from docmill_shared.settings import ServiceSettings


class JanitorSettings(ServiceSettings):
    """The settings of the janitor service."""

    dispatch_seconds: int = Field(
        2, ge=1, le=60, description="How often due files are sent to the workers."
    )
    recover_seconds: int = Field(
        5, ge=1, le=60, description="How often files of dead workers are looked for."
    )
    clean_expired_tokens_cron: str = Field(
        "0 * * * *", description="When expired tokens are deleted; cron, in UTC."
    )
    max_deliveries: int = Field(
        3, ge=1, le=20, description="A file whose worker died this often has FAILED."
    )
    catch_up_seconds: int = Field(
        3_600,
        ge=0,
        description="A slot that was missed while the scheduler was down fires once on its "
        "return if it is no older than this.",
    )
    sweep_rows: int = Field(1_000, ge=1, description="Most rows that one run of a job works on.")
