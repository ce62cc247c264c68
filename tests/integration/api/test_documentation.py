"""The OpenAPI document is valid and complete; its page works without internet."""

import gzip
import json
import re
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.integration.api.driver import Api


@pytest.fixture
def document(api: Api) -> Any:
    return api.call("GET", "/openapi.json").json


def test_the_document_is_openapi_3_1(document: Any) -> None:
    assert document["openapi"] == "3.1.0"
    assert [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


def operations(document: Any) -> list[tuple[str, Any]]:
    return [
        (f"{method} {path}", operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]


def test_every_operation_is_named_described_and_says_how_it_can_fail(document: Any) -> None:
    ids = [operation["operationId"] for _, operation in operations(document)]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]+", each) for each in ids), ids
    tags = {tag["name"] for tag in document["tags"]}
    for name, operation in operations(document):
        assert operation["summary"], name
        assert set(operation["tags"]) <= tags, name
        assert operation["tags"], name
        assert {"429", "500", "503"} <= set(operation["responses"]), name
        assert "rate_limited" in operation["responses"]["429"]["description"], name
        if "requestBody" in operation:
            assert {"400", "413", "415", "422"} <= set(operation["responses"]), name
        places = {parameter["in"] for parameter in operation.get("parameters", ())}
        assert "path" not in places or "404" in operation["responses"], name
        assert "query" not in places or "422" in operation["responses"], name


def test_the_document_is_made_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    first = api.call("GET", "/openapi.json")
    monkeypatch.setattr(api.app, "spec_json", {})
    monkeypatch.setattr(api.app, "generate_spec_json", None)
    assert api.call("GET", "/openapi.json").data == first.data


@pytest.mark.parametrize("path", ["/openapi.json", "/docs", "/docs/swagger-ui-bundle.js"])
def test_it_is_sent_compressed_and_not_again_to_whoever_has_it(api: Api, path: str) -> None:
    plain = api.call("GET", path)
    compressed = api.call("GET", path, headers={"Accept-Encoding": "gzip"})
    assert gzip.decompress(compressed.data) == plain.data
    assert len(compressed.data) < len(plain.data)
    assert compressed.headers["ETag"] != plain.headers["ETag"]
    assert "Accept-Encoding" in compressed.headers["Vary"]
    for known, encoding in ((plain, "identity"), (compressed, "gzip")):
        again = api.call(
            "GET",
            path,
            headers={"If-None-Match": known.headers["ETag"], "Accept-Encoding": encoding},
        )
        assert (again.status_code, again.data) == (304, b"")
        assert again.headers["X-Content-Type-Options"] == "nosniff"


def test_the_page_and_all_that_it_loads_come_from_here(api: Api) -> None:
    page = api.call("GET", "/docs")
    assert (page.status_code, page.mimetype) == (200, "text/html")
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(loaded) == 5
    for address in loaded:
        if address == "data:,":
            continue
        assert "//" not in address
        answer = api.call("GET", f"/{address}")
        assert answer.status_code == 200, address
        assert len(answer.data) > 100
    # And nothing else would be let in
    policy = page.headers["Content-Security-Policy"]
    assert "http" not in policy
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    # Scripts in the page itself, which that policy stops, there are none
    assert re.findall(r"<script(?! src=)|<style| on\w+=| style=", page.text) == []


def test_the_style_sheet_loads_nothing_from_elsewhere(api: Api) -> None:
    style = api.call("GET", "/docs/swagger-ui.css").text
    assert "swagger-ui" in style
    assert [each for each in re.findall(r"url\(([^)]{1,40})", style) if "data:" not in each] == []
    assert "@import" not in style


def test_the_page_asks_for_the_document_of_this_server_alone(api: Api) -> None:
    start = api.call("GET", "/docs/start.js").text
    assert 'url: "openapi.json"' in start
    assert "validatorUrl: null" in start
    assert "http" not in start


def test_the_document_is_small_enough_to_read(document: Any) -> None:
    assert len(json.dumps(document)) < 400_000
