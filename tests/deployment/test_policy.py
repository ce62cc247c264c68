"""Rules that no schema knows: what a pod may do, what it must have, and what fits together."""

import re
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from _pytest.mark import ParameterSet

from docmill_api.settings import ApiSettings
from docmill_ingest.settings import IngestSettings
from docmill_janitor.settings import JanitorSettings
from docmill_shared.migrate import MigrationSettings
from docmill_shared.settings import EnvironmentSettings, ServiceSettings
from docmill_shared.webhooks.targets import is_public
from tests import settings_fields
from tests.deployment import manifests
from tests.deployment.containers import (
    OPERATORS_SECRETS,
    SERVICES,
    SOURCES,
    Container,
    containers,
    shutdown_timeout,
)
from tests.deployment.dockerfiles import dockerfile

_SETTINGS: dict[str, type[EnvironmentSettings]] = {
    "migrate": MigrationSettings,
    "api": ApiSettings,
    "ingest": IngestSettings,
    "janitor-scheduler": JanitorSettings,
    "janitor-worker": JanitorSettings,
}
_UNITS = {"Mi": 1024**2, "Gi": 1024**3, "M": 1024**2, "G": 1024**3}
#: An ingest worker's own memory at its most, by `make bench-memory`.
_INGEST_PARENT_BYTES = 241 * 1024**2
#: One of its extraction children with OCR loaded, measured; a file's memory comes on top.
_WARM_CHILD_BYTES = 560 * 1024**2
#: From SIGTERM, beyond what is waited for: threads and connections end, the process too.
_ROOM_SECONDS = 5.0

_PAIRS = [
    (overlay, each)
    for overlay in manifests.OVERLAYS
    for each in manifests.of_kind(overlay, "Deployment", "Job")
]


def _named(pairs: list[tuple[str, manifests.Object]]) -> list[ParameterSet]:
    return [pytest.param(*pair, id=f"{pair[0]}-{pair[1]['metadata']['name']}") for pair in pairs]


WORKLOADS = _named(_PAIRS)
DEPLOYMENTS = _named([pair for pair in _PAIRS if pair[1]["kind"] == "Deployment"])


def in_bytes(quantity: str) -> int:
    match = re.fullmatch(r"(\d+)(Mi|Gi|M|G)", quantity)
    assert match, quantity
    return int(match[1]) * _UNITS[match[2]]


def described(source: str, secrets: dict[str, str], name: str) -> tuple[Container, dict[str, str]]:
    """A container, and its environment with what the image adds."""
    container = containers(source, secrets)[name]
    image = dockerfile(container.service).final.environment({})
    return container, {**image, **container.environment}


@pytest.mark.parametrize(("overlay", "workload"), WORKLOADS)
def test_a_pod_keeps_to_the_restricted_profile(overlay: str, workload: dict[str, Any]) -> None:
    # https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
    pod = manifests.pod_of(workload)

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] >= 10_000
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    assert pod["automountServiceAccountToken"] is False
    # Kubernetes' made-up API_PORT=tcp://... would be read as a setting.
    assert pod["enableServiceLinks"] is False
    assert all("emptyDir" in volume for volume in pod["volumes"])
    for container in pod["containers"]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert "hostPort" not in str(container.get("ports"))


@pytest.mark.parametrize(("overlay", "workload"), WORKLOADS)
def test_a_container_has_requests_limits_and_a_version(
    overlay: str, workload: dict[str, Any]
) -> None:
    for container in manifests.pod_of(workload)["containers"]:
        resources = container["resources"]
        assert set(resources["requests"]) == set(resources["limits"]) == {"cpu", "memory"}
        requested, limit = (in_bytes(resources[each]["memory"]) for each in ("requests", "limits"))
        assert requested <= limit
        image, _, tag = container["image"].rpartition(":")
        assert image
        assert tag not in ("", "latest")


@pytest.mark.parametrize(("overlay", "workload"), DEPLOYMENTS)
def test_a_deployment_survives_nodes_and_rollouts(overlay: str, workload: dict[str, Any]) -> None:
    name, labels = workload["metadata"]["name"], workload["spec"]["selector"]["matchLabels"]
    pod = manifests.pod_of(workload)

    budgets = manifests.of_kind(overlay, "PodDisruptionBudget")
    assert [each for each in budgets if each["spec"]["selector"]["matchLabels"] == labels]
    spread = {each["topologyKey"] for each in pod["topologySpreadConstraints"]}
    assert spread == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    assert workload["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    if overlay == "production" and name != "docmill-ingest":
        assert workload["spec"]["replicas"] >= 2
    # How many ingest pods there are is the scaler's: a rollout must not set it back.
    assert ("replicas" in workload["spec"]) == (name != "docmill-ingest")


@pytest.mark.parametrize(("overlay", "workload"), DEPLOYMENTS)
def test_probes_ask_for_the_right_things(overlay: str, workload: dict[str, Any]) -> None:
    (container,) = manifests.pod_of(workload)["containers"]
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    probes = {kind: container[f"{kind}Probe"] for kind in ("startup", "liveness", "readiness")}
    is_api = container["name"] == "api"

    # Liveness never depends on a server that a restart would not bring back.
    alive, port = ("/healthz", 8000) if is_api else ("/livez", 9100)
    assert probes["liveness"]["httpGet"]["path"] == probes["startup"]["httpGet"]["path"] == alive
    assert probes["readiness"]["httpGet"]["path"] == "/readyz"
    for probe in probes.values():
        assert ports[probe["httpGet"]["port"]] == port
        assert probe["timeoutSeconds"] == 3
    assert ports["health"] == 9100


@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize("source", SOURCES)
def test_grace_periods_enclose_each_other(source: str, secrets: dict[str, str], name: str) -> None:
    container, environment = described(source, secrets, name)
    defaults = _SETTINGS[name].model_fields

    if name == "api":
        graceful = defaults["api_graceful_seconds"].default
        inner = float(environment.get("API_GRACEFUL_SECONDS", graceful))
        waits = 0.0 if source == "compose" else 5.0  # preStop counts as well
        assert waits + inner + _ROOM_SECONDS <= container.grace_seconds
    elif name != "janitor-scheduler":
        timeout = shutdown_timeout(container.command)
        assert timeout is not None, "Dramatiq's own time-out is ten minutes"
        assert timeout + _ROOM_SECONDS <= container.grace_seconds
        if name == "ingest":
            default = defaults["shutdown_grace_seconds"].default
            grace = float(environment.get("SHUTDOWN_GRACE_SECONDS", default))
            assert grace + _ROOM_SECONDS <= timeout


@pytest.mark.parametrize("name", ["migrate", *SERVICES])
@pytest.mark.parametrize("source", SOURCES)
def test_the_environment_makes_valid_settings(
    source: str, secrets: dict[str, str], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, environment = described(source, secrets, name)
    for variable in settings_fields.variables():
        monkeypatch.delenv(variable, raising=False)
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)

    settings = _SETTINGS[name].load()

    if name != "migrate":
        assert isinstance(settings, ServiceSettings)
        assert (settings.health_host, settings.health_port) == ("0.0.0.0", 9100)


@pytest.mark.parametrize("source", SOURCES)
def test_every_variable_is_a_setting(source: str, secrets: dict[str, str]) -> None:
    known = settings_fields.variables()

    for container in containers(source, secrets).values():
        assert set(container.environment) - known == set(), container.name


@pytest.mark.parametrize("source", SOURCES)
def test_only_the_api_has_the_key_of_tokens(source: str, secrets: dict[str, str]) -> None:
    holders = {
        name
        for name, container in containers(source, secrets).items()
        if "JWT_SECRET" in container.environment
    }

    assert holders == {"api"}


@pytest.mark.parametrize("source", SOURCES)
def test_who_keeps_and_who_delivers_webhooks_have_their_key(
    source: str, secrets: dict[str, str]
) -> None:
    holders = {
        name
        for name, container in containers(source, secrets).items()
        if container.environment.get("WEBHOOK_KEY")
    }

    assert holders == {"api", "janitor-worker"}


@pytest.mark.parametrize("source", ["compose", "production"])
def test_webhooks_stay_outside(source: str, secrets: dict[str, str]) -> None:
    for container in containers(source, secrets).values():
        assert "WEBHOOK_ALLOW_PRIVATE_TARGETS" not in container.environment


def test_the_network_lets_webhooks_out_to_public_addresses_alone() -> None:
    (policy,) = (
        each["spec"]
        for each in manifests.of_kind("production", "NetworkPolicy")
        if each["metadata"]["name"] == "webhooks"
    )
    assert policy["podSelector"]["matchLabels"] == {"app.kubernetes.io/component": "janitor-worker"}
    (rule,) = policy["egress"]
    blocks = [each["ipBlock"] for each in rule["to"]]

    def let_out(address: str) -> bool:
        return any(
            ip_address(address) in ip_network(block["cidr"])
            and not any(ip_address(address) in ip_network(no) for no in block.get("except", ()))
            for block in blocks
        )

    for public in ("8.8.8.8", "203.0.114.1", "2606:4700::1111"):
        assert is_public(public)
        assert let_out(public)
    for private in (
        *("0.0.0.1", "10.1.2.3", "100.64.0.1", "127.0.0.1", "168.63.129.16", "169.254.169.254"),
        *("172.16.0.1", "192.0.0.192", "192.168.0.1", "198.18.0.1", "224.0.0.1", "255.255.255.255"),
        *("::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "fd00:ec2::254", "fe80::1", "ff02::1"),
    ):
        assert not is_public(private)
        assert not let_out(private), private
    assert [(each["port"], each.get("endPort")) for each in rule["ports"]] == [
        (443, None),
        (1024, 65535),
    ]


def test_no_secret_is_in_what_production_applies() -> None:
    assert manifests.of_kind("production", "Secret") == []
    text = manifests.render("production")
    for names in OPERATORS_SECRETS.values():
        for name in names:
            assert not re.search(rf"^\s*{name}: \S", text, re.MULTILINE)


@pytest.mark.parametrize("source", SOURCES)
def test_the_queue_is_long_enough_for_all_workers(source: str, secrets: dict[str, str]) -> None:
    container, environment = described(source, secrets, "ingest")
    threads = int(container.command[container.command.index("--threads") + 1])
    if source == "compose":
        pods = 8  # as the file says
    else:
        (scaler,) = manifests.of_kind(source, "ScaledObject", "HorizontalPodAutoscaler")
        spec = scaler["spec"]
        pods = spec.get("maxReplicaCount") or spec["maxReplicas"]
        assert (spec.get("minReplicaCount") or spec["minReplicas"]) >= 1

    assert int(environment["INGEST_QUEUE_CAP"]) >= 2 * threads * pods


@pytest.mark.parametrize("source", SOURCES)
def test_ingest_memory_is_made_of_the_worker_and_its_children(
    source: str, secrets: dict[str, str]
) -> None:
    container, environment = described(source, secrets, "ingest")
    threads = int(container.command[container.command.index("--threads") + 1])
    if source == "compose":
        limit = manifests.compose(secrets)["services"]["ingest"]["deploy"]["resources"]["limits"]
    else:
        (workload,) = (
            each
            for each in manifests.of_kind(source, "Deployment")
            if each["metadata"]["name"] == "docmill-ingest"
        )
        limit = manifests.pod_of(workload)["containers"][0]["resources"]["limits"]

    child = _WARM_CHILD_BYTES + int(environment["EXTRACTION_MEMORY_BYTES"])
    needed = _INGEST_PARENT_BYTES + threads * child

    assert in_bytes(limit["memory"]) >= needed


@pytest.mark.parametrize("overlay", manifests.OVERLAYS)
def test_networks_are_closed_by_default(overlay: str) -> None:
    policies = {
        each["metadata"]["name"]: each["spec"]
        for each in manifests.of_kind(overlay, "NetworkPolicy")
    }

    assert policies.pop("deny-by-default") == {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
    }
    for name, spec in policies.items():
        for rule in (*spec.get("ingress", ()), *spec.get("egress", ())):
            assert rule["ports"], name
            assert rule.get("from") or rule.get("to"), name
    (namespace,) = manifests.of_kind(overlay, "Namespace")
    labels = namespace["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_a_migration_has_what_it_needs_before_the_rollout() -> None:
    prepared = [
        each
        for each in manifests.objects("development")
        if each["metadata"].get("labels", {}).get("phase") == "prepare"
    ]

    kinds = {each["kind"] for each in prepared}
    assert kinds == {"Job", "Namespace", "NetworkPolicy", "Secret", "ConfigMap"}
    for kind in kinds:
        assert len([each for each in prepared if each["kind"] == kind]) == len(
            manifests.of_kind("development", kind)
        )


@pytest.mark.parametrize("overlay", manifests.OVERLAYS)
def test_who_sends_is_rolled_out_after_who_receives(overlay: str) -> None:
    waves = {
        each["metadata"]["name"]: int(
            each["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"]
        )
        for each in manifests.of_kind(overlay, "Deployment", "Job")
    }

    assert waves["docmill-migrate"] < waves["docmill-ingest"] < waves["docmill-api"]
    assert waves["docmill-janitor-worker"] < waves["docmill-janitor-scheduler"]
