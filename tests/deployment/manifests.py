"""The files that deploy docmill, as the tools that apply them read them."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).parents[2]
OVERLAYS = ("development", "production")
COMPOSE = REPOSITORY / "docker-compose.yml"
_REFERENCE = re.compile(r"\$\{(?P<name>\w+)(?P<kind>:[?-])?(?P<rest>[^}]*)\}")

Object = dict[str, Any]


@cache
def render(overlay: str) -> str:
    """What ``kubectl apply -k`` would send: kubectl's own Kustomize, from its wheel."""
    kubectl = Path(sys.executable).with_name("kubectl")
    folder = REPOSITORY / "k8s" / "overlays" / overlay
    done = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def objects(overlay: str) -> list[Object]:
    """The rendered objects."""
    return list(yaml.safe_load_all(render(overlay)))


def of_kind(overlay: str, *kinds: str) -> list[Object]:
    """The rendered objects of these kinds."""
    return [each for each in objects(overlay) if each["kind"] in kinds]


def pod_of(workload: Object) -> Object:
    """The pod that a Deployment or a Job makes."""
    pod: Object = workload["spec"]["template"]["spec"]
    return pod


def required_variables() -> set[str]:
    """What docker-compose.yml refuses to start without."""
    found = _REFERENCE.finditer(COMPOSE.read_text())
    return {each["name"] for each in found if each["kind"] == ":?"}


def compose(environ: Mapping[str, str]) -> Object:
    """docker-compose.yml with these variables filled in, as ``docker compose config`` would.

    Raises:
        LookupError: a required variable is missing; the sentence is the file's.
    """

    def fill(reference: re.Match[str]) -> str:
        name, kind, rest = reference["name"], reference["kind"], reference["rest"]
        if environ.get(name):
            return environ[name]
        if kind == ":?":
            raise LookupError(f"{name}: {rest}")
        return rest

    def filled(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: filled(value) for key, value in node.items()}
        if isinstance(node, list):
            return [filled(each) for each in node]
        return _REFERENCE.sub(fill, node) if isinstance(node, str) else node

    content: Object = filled(yaml.safe_load(COMPOSE.read_text()))
    return content


def environment_of_host() -> dict[str, str]:
    """What a build on this machine needs of its environment: where packages come from."""
    kept = ("PATH", "HOME", "LANG", "SSL_CERT_FILE")
    return {
        name: value
        for name, value in os.environ.items()
        if name in kept or name.lower().endswith("_proxy") or name.startswith(("UV_INDEX", "PIP_"))
    }
