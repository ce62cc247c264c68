"""The containers that docker-compose.yml and k8s/ describe, in one form."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.deployment import manifests
from tests.deployment.dockerfiles import dockerfile

#: By the names that both give them.
SERVICES = ("api", "ingest", "janitor-scheduler", "janitor-worker")
SOURCES = ("compose", *manifests.OVERLAYS)


@dataclass(frozen=True)
class Probe:
    """An address that says 200 while all is well; ``port`` is the container's."""

    path: str
    port: int


@dataclass(frozen=True)
class Container:
    """What the runtime is told about one container; ``environment`` without the image's."""

    name: str
    service: str
    command: list[str]
    environment: dict[str, str]
    grace_seconds: float
    #: Kubernetes' by their kind; compose has none of its own, the image's HEALTHCHECK counts.
    probes: dict[str, Probe]


def containers(source: str, secrets: Mapping[str, str]) -> dict[str, Container]:
    """All of them, ``migrate`` included; ``secrets`` is what the operator must supply."""
    if source == "compose":
        return _of_compose(secrets)
    return _of_kubernetes(source, secrets)


def _of_compose(secrets: Mapping[str, str]) -> dict[str, Container]:
    found = {}
    for name, each in manifests.compose(secrets)["services"].items():
        image = each["image"].partition(":")[0]
        if not image.startswith("docmill-"):
            continue
        service = image.removeprefix("docmill-")
        variables = each.get("environment", {})
        found[name] = Container(
            name=name,
            service=service,
            command=each.get("command") or dockerfile(service).command,
            environment={key: str(value) for key, value in variables.items()},
            grace_seconds=float(str(each.get("stop_grace_period", "10s")).removesuffix("s")),
            probes={},
        )
    return found


def _of_kubernetes(overlay: str, secrets: Mapping[str, str]) -> dict[str, Container]:
    sources = {
        each["metadata"]["name"]: {**each.get("data", {}), **each.get("stringData", {})}
        for each in manifests.of_kind(overlay, "ConfigMap", "Secret")
    }
    found = {}
    for workload in manifests.of_kind(overlay, "Deployment", "Job"):
        pod = manifests.pod_of(workload)
        (each,) = pod["containers"]
        image = each["image"].rpartition("/")[2].partition(":")[0]
        found[each["name"]] = Container(
            name=each["name"],
            service=image.removeprefix("docmill-"),
            command=each["command"],
            environment=_environment(each, sources, secrets),
            grace_seconds=float(pod["terminationGracePeriodSeconds"]),
            probes=_probes(each),
        )
    return found


def _environment(
    container: Mapping[str, Any],
    sources: Mapping[str, Mapping[str, str]],
    secrets: Mapping[str, str],
) -> dict[str, str]:
    variables: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        reference = source.get("configMapRef") or source["secretRef"]
        variables |= sources.get(reference["name"]) or _operators(reference["name"], secrets)
    for each in container.get("env", ()):
        if "value" in each:
            variables[each["name"]] = each["value"]
        else:
            reference = each["valueFrom"]["secretKeyRef"]
            held = sources.get(reference["name"]) or _operators(reference["name"], secrets)
            variables[each["name"]] = held[reference["key"]]
    return variables


#: The Secrets that docs/deployment.md tells the operator to make, with their keys.
OPERATORS_SECRETS = {
    "docmill": ("REDIS_URL", "S3_ACCESS_KEY", "S3_SECRET_KEY"),
    "docmill-database": ("DATABASE_URL",),
    "docmill-api": ("API_DATABASE_URL", "JWT_SECRET"),
    "docmill-webhooks": ("WEBHOOK_KEY",),
    "docmill-provider": (),
    "docmill-mail": (),
}


def _operators(name: str, secrets: Mapping[str, str]) -> dict[str, str]:
    return {key: secrets[key] for key in OPERATORS_SECRETS[name]}


def _probes(container: Mapping[str, Any]) -> dict[str, Probe]:
    ports = {each["name"]: each["containerPort"] for each in container.get("ports", ())}
    return {
        kind: Probe(probe["httpGet"]["path"], ports[probe["httpGet"]["port"]])
        for kind in ("startup", "liveness", "readiness")
        if (probe := container.get(f"{kind}Probe"))
    }


def shutdown_timeout(command: list[str]) -> float | None:
    """How long Dramatiq lets its threads go on, in seconds."""
    words = [word for part in command for word in shlex.split(part)]
    if "--worker-shutdown-timeout" not in words:
        return None
    return int(words[words.index("--worker-shutdown-timeout") + 1]) / 1_000
