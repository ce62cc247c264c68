"""What clients send, where JSON and pydantic differ."""

from datetime import UTC, datetime
from typing import Annotated, Any

import pytest
from pydantic import Field, ValidationError

from docmill_api.client_input import WHOLE, Flag, Moment, Requested, Secret, Text, never_null


class Body(Requested):
    """One of each."""

    whole: Annotated[int, Field(ge=0, le=9), WHOLE] = 0
    flag: Flag = False
    moment: Moment | None = None
    text: Text = ""
    secret: Secret | None = None
    absent: int | None = Field(None, json_schema_extra=never_null)


@pytest.mark.parametrize(
    ("field", "value", "taken"),
    [
        ("whole", 5, 5),
        ("whole", 5.0, 5),
        ("flag", True, True),
        ("moment", "2030-01-31T12:00:00Z", datetime(2030, 1, 31, 12, tzinfo=UTC)),
        ("moment", "2030-01-31t12:00:00+05:30", datetime(2030, 1, 31, 6, 30, tzinfo=UTC)),
        # Postgres would refuse this offset.
        ("moment", "1087-03-04T15:44:49-18:48", datetime(1087, 3, 5, 10, 32, 49, tzinfo=UTC)),
        ("text", "é\n", "é\n"),
    ],
)
def test_what_is_taken(field: str, value: object, taken: object) -> None:
    assert getattr(Body.model_validate({field: value}), field) == taken


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("whole", "5"),
        ("whole", 5.5),
        ("whole", True),
        ("whole", float("inf")),
        ("whole", float("nan")),
        ("whole", 10),
        ("flag", 1),
        ("flag", "true"),
        ("moment", "2030-01-31T12:00:00"),
        ("moment", "2030-01-31"),
        ("moment", "0.5"),
        ("moment", 1700000000),
        ("moment", "0001-01-01T00:00:00+23:00"),
        ("text", "a\0"),
        ("secret", "\ud800"),
        ("unknown", 1),
    ],
)
def test_what_is_refused(field: str, value: object) -> None:
    with pytest.raises(ValidationError):
        Body.model_validate({field: value})


def test_the_schema_says_the_same() -> None:
    properties: dict[str, Any] = Body.model_json_schema()["properties"]
    assert properties["whole"] == {
        "default": 0,
        "maximum": 9,
        "minimum": 0,
        "title": "Whole",
        "type": "integer",
    }
    assert properties["flag"]["type"] == "boolean"
    assert properties["absent"] == {"title": "Absent", "type": "integer"}
