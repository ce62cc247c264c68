"""Rules for images and compose that no schema and no linter knows."""

import re

import pytest

from tests.deployment import manifests
from tests.deployment.containers import SERVICES
from tests.deployment.dockerfiles import SERVICES as IMAGES
from tests.deployment.dockerfiles import dockerfile


@pytest.mark.parametrize("name", ["postgres", "valkey", "s3", "bucket", "migrate", *SERVICES])
def test_compose_holds_back_what_a_container_may_do(secrets: dict[str, str], name: str) -> None:
    service = manifests.compose(secrets)["services"][name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
    assert "container_name" not in service
    assert service["image"].rpartition(":")[2] not in ("", "latest")
    assert ("ports" in service) == (name in ("api", "s3"))
    for port in service.get("ports", ()):
        assert port.startswith("127.0.0.1:"), "open to the whole network unless .env says so"


def test_compose_starts_in_order(secrets: dict[str, str]) -> None:
    services = manifests.compose(secrets)["services"]

    for name in SERVICES:
        conditions = {
            other: each["condition"] for other, each in services[name]["depends_on"].items()
        }
        assert (name == "janitor-scheduler") <= (
            conditions.get("janitor-worker") == "service_healthy"
        )
        assert conditions["migrate"] == conditions["bucket"] == "service_completed_successfully"
        for server in ("postgres", "valkey", "s3"):
            assert conditions[server] == "service_healthy"
            assert services[server]["healthcheck"]["test"]
    for server, option in (("valkey", "noeviction"), ("valkey", "--appendonly=yes")):
        assert option in " ".join(services[server]["command"])


@pytest.mark.parametrize("service", IMAGES)
def test_an_image_runs_as_nobody_with_signals(service: str) -> None:
    file = dockerfile(service)

    assert file.final.all("USER")[-1].value == "10001:10001"
    assert file.final.all("CMD")[-1].value.startswith("["), "a shell would keep SIGTERM"
    assert not file.final.all("ENTRYPOINT")
    assert file.build.base == file.final.base
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-bookworm", file.final.base)
    assert [each.value.split()[-1] for each in file.final.all("COPY")] == ["/opt/docmill"]


@pytest.mark.parametrize("service", IMAGES)
def test_a_build_is_given_only_what_it_copies(service: str) -> None:
    ignore = (manifests.REPOSITORY / ".dockerignore").read_text().splitlines()
    allowed = {line[1:] for line in ignore if line.startswith("!")}
    assert "*" in ignore

    for instruction in dockerfile(service).build.all("COPY"):
        if instruction.value.startswith("--from="):
            continue
        for name in instruction.words()[:-1]:
            assert (manifests.REPOSITORY / name).exists()
            assert any(name == each or name.startswith(f"{each}/") for each in allowed), name
