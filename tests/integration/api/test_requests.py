"""What holds for every request: problem details, request ids, bodies, the OpenAPI document."""

import json
import re
from typing import Any

import pytest
import sqlalchemy
import structlog

from docmill_api import health
from docmill_api.app import create_app
from docmill_api.resources import Resources
from tests.conftest import api_login
from tests.integration.api.driver import Account, Api, problem, settings_from


def test_unknown_paths_and_methods_are_problems(api: Api) -> None:
    problem(api.call("GET", "/nothing"), 404, "not_found")
    problem(api.call("GET", "/v1/files/"), 404, "not_found")
    answer = api.call("PATCH", "/v1/auth/login", {})
    problem(answer, 405, "method_not_allowed")
    assert "POST" in answer.headers["Allow"]


@pytest.mark.parametrize(
    ("data", "content_type", "status", "code"),
    [
        ("{", "application/json", 400, "malformed_json"),
        ("", "application/json", 400, "malformed_json"),
        (b"\xff\xfe{", "application/json", 400, "malformed_json"),
        ("[" * 100_000, "application/json", 400, "malformed_json"),
        ("[]", "application/json", 422, "validation_failed"),
        ("null", "application/json", 422, "validation_failed"),
        (json.dumps('{"query": "x"}'), "application/json", 422, "validation_failed"),
        ("{}", "text/plain", 415, "unsupported_media_type"),
        ("query=x", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        ('{"query": "' + "x" * 1024**2 + '"}', "application/json", 413, "body_too_large"),
    ],
)
def test_a_body_that_is_no_json_object_is_refused(
    account: Account, data: str | bytes, content_type: str, status: int, code: str
) -> None:
    problem(account.post("/v1/search", data=data, content_type=content_type), status, code)


def test_a_bug_is_a_problem_that_tells_nothing_and_a_log_line_that_tells_all(
    api_environment: dict[str, str],
) -> None:
    resources = Resources.from_settings(settings_from(api_environment))
    app = create_app(resources)

    def broken() -> str:
        raise ZeroDivisionError("the innermost secret")

    app.add_url_rule("/broken", view_func=broken)
    with structlog.testing.capture_logs() as lines:
        answer = app.test_client().get("/broken")
    problem(answer, 500, "internal_error")
    assert "innermost" not in answer.text
    (line,) = [line for line in lines if line["log_level"] == "error"]
    assert isinstance(line["exc_info"], ZeroDivisionError)
    resources.close()


def test_a_good_request_id_comes_back_and_a_bad_one_is_replaced(api: Api) -> None:
    good = api.call("GET", "/healthz", headers={"X-Request-ID": "abc-123_4.5"})
    assert good.headers["X-Request-ID"] == "abc-123_4.5"
    for bad in ("", "x" * 65, "a b", "a;b", "é"):
        answer = api.call("GET", "/healthz", headers={"X-Request-ID": bad})
        assert len(answer.headers["X-Request-ID"]) == 32
    assert good.headers["X-Content-Type-Options"] == "nosniff"
    assert good.headers["Cache-Control"] == "no-store"


def test_probes_answer(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    # A busy machine may need longer than a cluster would wait
    monkeypatch.setattr(health, "DEADLINE_SECONDS", 60.0)
    assert api.call("GET", "/healthz").json == {"status": "ok"}
    ready = api.call("GET", "/readyz")
    assert (ready.status_code, ready.json) == (
        200,
        {"ready": True, "dependencies": {"database": "ok", "storage": "ok", "queue": "ok"}},
    )


def test_an_empty_database_is_not_ready_and_says_what_to_run(
    api_environment: dict[str, str], stack: Any
) -> None:
    url = stack.create_database("api_without_schema")
    empty = api_login(url, api_environment)
    resources = Resources.from_settings(settings_from(api_environment, api_database_url=empty))
    answer = Api(resources, sqlalchemy.create_engine(url)).call("GET", "/readyz")
    assert answer.status_code == 503
    assert answer.json is not None
    assert "docmill_shared.migrate" in answer.json["dependencies"]["database"]
    resources.close()


@pytest.fixture
def document(api: Api) -> Any:
    return api.call("GET", "/openapi.json").json


def test_the_document_knows_every_route(api: Api, document: Any) -> None:
    assert document["openapi"].startswith("3.1")
    routes = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in api.app.url_map.iter_rules()
        if not rule.endpoint.startswith("documentation.")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    documented = {
        (path, method) for path, operations in document["paths"].items() for method in operations
    }
    assert documented == routes


def test_every_operation_describes_its_problems(document: Any) -> None:
    public = {"/healthz", "/readyz", "/v1/auth/register", "/v1/auth/login", "/v1/auth/refresh"}
    for path, operations in document["paths"].items():
        for operation in operations.values():
            protected = path not in public
            assert (operation.get("security") or [None])[0] == (
                {"bearer": []} if protected else None
            ), path
            assert operation["summary"]
            responses = operation["responses"]
            assert {"500", "503"} <= set(responses)
            assert not protected or "401" in responses
            for status, response in responses.items():
                assert response["description"]
                if int(status) >= 400 and path != "/readyz":
                    assert response["content"] == {
                        "application/problem+json": {
                            "schema": {"$ref": "#/components/schemas/ProblemDetails"}
                        }
                    }
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


def test_every_reference_of_the_document_leads_somewhere(document: Any) -> None:
    text = json.dumps(document)
    names = {part.partition('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert names <= set(document["components"]["schemas"])
