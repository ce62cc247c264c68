"""``docmill env``: the text of ``.env.example``, made from the settings of the services.

Every variable with its meaning, its default and the services that read it, so that the file never
tells anything else than the code. The variables of this command line are at the end.
"""

import textwrap
from enum import Enum
from pathlib import Path

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

_HEAD = """
Settings of docmill's services (api, ingest, janitor), read from the environment. A variable
without "#" must be set; the others are shown with their default. `make demo` and `make up` set
what they need by themselves.
"""
_COMMAND_LINE = {
    "DOCMILL_URL": "The API that `docmill ingest`, `files` and `search` talk to.",
    "DOCMILL_EMAIL": "The account that they act as.",
    "DOCMILL_PASSWORD": "Its password.",
    "DOCMILL_DATA": "Where `docmill up` and `docmill demo` keep their data.",
}


def text() -> str:
    """The whole file."""
    services = _services()
    parts = [_comment(_HEAD)]
    for owner, title in _titles(services).items():
        readers = [name for name, settings in services.items() if issubclass(settings, owner)]
        who = "all services" if len(readers) == len(services) else ", ".join(readers)
        parts.append(_heading(f"{title} ({who})"))
        # A class's own annotations: what it inherits stands under its own heading.
        own = [name for name in owner.__annotations__ if name in owner.model_fields]
        parts += [_entry(name.upper(), owner.model_fields[name]) for name in own]
    parts.append(_heading("The docmill command; `docmill up` leaves what it needs"))
    parts += [f"{_comment(meaning)}\n# {name}=" for name, meaning in _COMMAND_LINE.items()]
    return "\n\n".join(parts) + "\n"


def _services() -> dict[str, type[BaseSettings]]:
    # The services are this workspace's, and only this command needs them.
    from docmill_api.settings import ApiSettings
    from docmill_ingest.settings import IngestSettings
    from docmill_janitor.settings import JanitorSettings

    return {"api": ApiSettings, "ingest": IngestSettings, "janitor": JanitorSettings}


def _titles(services: dict[str, type[BaseSettings]]) -> dict[type[BaseSettings], str]:
    """The classes that declare settings, shared ones first, each with a heading."""
    from docmill_api.http_settings import HttpSettings
    from docmill_api.token_settings import TokenSettings
    from docmill_janitor.mail_settings import MailSettings
    from docmill_shared.settings import (
        ApiDatabaseSettings,
        DatabaseSettings,
        DemoSettings,
        EnvironmentSettings,
        OwnerQuotaSettings,
        ProviderSettings,
        ServiceSettings,
        WebhookSettings,
    )

    return {
        DatabaseSettings: "Database",
        ApiDatabaseSettings: "Database, for the api",
        ServiceSettings: "Queue, object store and limits",
        OwnerQuotaSettings: "Quotas of owners",
        ProviderSettings: "Embedding provider",
        TokenSettings: "Tokens",
        MailSettings: "Mail",
        WebhookSettings: "Webhooks",
        DemoSettings: "Demonstration",
        HttpSettings: "Rate limits, proxies and browsers",
        EnvironmentSettings: "Log, and where this runs",
        services["api"]: "The API",
        services["ingest"]: "Ingestion",
        services["janitor"]: "The janitor",
    }


def _heading(title: str) -> str:
    return f"# --- {title} ".ljust(79, "-")


def _entry(name: str, field: FieldInfo) -> str:
    meaning = _comment(f"{(field.description or '').rstrip('.')}.")
    if field.is_required():
        return f"{meaning}\n{name}="
    return f"{meaning}\n# {name}={_default(field.default)}"


def _default(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, str | int | float | Path):
        return str(value)
    raise TypeError(f"no way to write {value!r} into .env.example")


def _comment(sentences: str) -> str:
    return textwrap.fill(
        " ".join(sentences.split()),
        79,
        initial_indent="# ",
        subsequent_indent="# ",
        break_on_hyphens=False,
        break_long_words=False,
    )
