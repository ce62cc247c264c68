"""What the api reads from its environment."""

from pydantic import Field

from docmill_api.http_settings import HttpSettings
from docmill_api.token_settings import TokenSettings
from docmill_shared.settings import (
    ApiDatabaseSettings,
    OwnerQuotaSettings,
    ProviderSettings,
    ServiceSettings,
    WebhookSettings,
)


class ApiSettings(
    ApiDatabaseSettings,
    ServiceSettings,
    HttpSettings,
    TokenSettings,
    OwnerQuotaSettings,
    ProviderSettings,
    WebhookSettings,
):
    """The settings of the api, on top of those that it shares with the other services."""

    upload_url_seconds: int = Field(
        300, ge=1, le=3600, description="How long the URL for uploading a reserved file is valid."
    )
    chat_model: str = Field(
        "gemini-2.5-flash-lite",
        description="Gemini's model that answers questions; local quotes passages instead.",
    )
    api_host: str = Field(
        "127.0.0.1", description="Address that the api listens on; 0.0.0.0 in a container."
    )
    api_port: int = Field(8000, ge=1, le=65535, description="Port that the api listens on.")
    api_workers: int = Field(2, ge=1, le=64, description="Processes of one api.")
    api_threads: int = Field(8, ge=1, le=256, description="Requests that a process serves at once.")
    api_event_streams: int = Field(
        500,
        ge=0,
        le=5000,
        description="Event streams that a process keeps open, each in a sleeping thread of its "
        "own beside API_THREADS.",
    )
    api_event_stream_seconds: int = Field(
        3600,
        ge=1,
        description="How long an event stream stays open at most; its client comes back, perhaps "
        "to another pod.",
    )
    api_graceful_seconds: int = Field(
        25,
        ge=1,
        le=600,
        description="How long open requests may go on after SIGTERM; below the grace period of "
        "Kubernetes, which is 30 s.",
    )
