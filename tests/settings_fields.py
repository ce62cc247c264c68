"""Every setting of every service, for tests that compare them with documents."""

from pydantic.fields import FieldInfo

from docmill_api.settings import ApiSettings
from docmill_ingest.settings import IngestSettings
from docmill_janitor.settings import JanitorSettings


def fields() -> dict[str, FieldInfo]:
    """The fields of all services by variable name."""
    return {
        name.upper(): field
        for settings in (ApiSettings, IngestSettings, JanitorSettings)
        for name, field in settings.model_fields.items()
    }


def variables() -> set[str]:
    """The names of all variables."""
    return set(fields())
