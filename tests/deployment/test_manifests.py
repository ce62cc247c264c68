"""What is deployed is valid by the schemas of those who read it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest

from tests.deployment import manifests
from tests.deployment.dockerfiles import SERVICES, dockerfile

_KEDA = json.loads((Path(__file__).parent / "keda.schema.json").read_text())
#: The oldest and the newest release of Kubernetes that the manifests are for.
VERSIONS = ("1.31", "1.37")


def tool(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """A command of the environment that the tests run in."""
    command = [str(Path(sys.executable).with_name(name)), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def check(manifest: dict[str, Any], version: str) -> None:
    """Raise unless it is valid; an unknown field is an error too."""
    if manifest["apiVersion"].startswith("keda.sh/"):
        jsonschema.validate(manifest, {**_KEDA, "$ref": f"#/$defs/{manifest['kind']}"})
    else:
        kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("overlay", manifests.OVERLAYS)
def test_every_rendered_object_is_valid(overlay: str, version: str) -> None:
    rendered = manifests.objects(overlay)

    assert len(rendered) > 20
    for each in rendered:
        check(each, version)


@pytest.mark.parametrize("kind", ["Deployment", "Ingress", "Namespace"])
def test_an_unknown_field_is_found(kind: str) -> None:
    (manifest, *_) = manifests.of_kind("production", kind)
    manifest["spec"] = {**manifest.get("spec", {}), "replica": 1}

    with pytest.raises(kubernetes_validate.ValidationError):
        check(manifest, VERSIONS[-1])


def test_an_unknown_field_of_keda_is_found() -> None:
    (manifest,) = manifests.of_kind("production", "ScaledObject")
    manifest["spec"]["minReplicas"] = 1

    with pytest.raises(jsonschema.ValidationError, match="minReplicas"):
        check(manifest, VERSIONS[-1])


@pytest.mark.parametrize("component", ["keda", "hpa"])
def test_either_scaler_fits_the_base(component: str, tmp_path: Path) -> None:
    base = manifests.REPOSITORY / "k8s"
    kustomization = tmp_path / "kustomization.yaml"
    # Kustomize wants relative paths.
    up = "/".join([".."] * (len(tmp_path.parts) - 1))
    kustomization.write_text(
        f"resources: [{up}{base}/base]\ncomponents: [{up}{base}/components/{component}]\n"
    )

    done = tool("kubectl", "kustomize", "--load-restrictor=LoadRestrictionsNone", tmp_path)

    assert done.returncode == 0, done.stderr
    assert "kind: ScaledObject" in done.stdout or "kind: HorizontalPodAutoscaler" in done.stdout


def test_the_compose_file_is_valid() -> None:
    done = tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", manifests.COMPOSE)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("variable", sorted(manifests.required_variables()))
def test_compose_names_what_is_missing(variable: str, secrets: dict[str, str]) -> None:
    del secrets[variable]

    with pytest.raises(LookupError, match=rf"^{variable}: set it in \.env"):
        manifests.compose(secrets)


def test_the_example_asks_for_what_compose_needs() -> None:
    lines = (manifests.REPOSITORY / ".env.compose.example").read_text().splitlines()

    asked = {line.removesuffix("=") for line in lines if line.endswith("=") and line[0] != "#"}

    assert asked == manifests.required_variables()


@pytest.mark.parametrize("service", SERVICES)
def test_a_dockerfile_is_without_complaint(service: str) -> None:
    done = tool("hadolint", "--no-color", dockerfile(service).path)

    assert done.returncode == 0, done.stdout + done.stderr
