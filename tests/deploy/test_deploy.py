"""The files that start clusters: against Ray's schema, KubeRay's where it is, and what they must not lack."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import requests
import yaml
from ray._common.usage import usage_lib
from ray.autoscaler._private.util import prepare_config, validate_config

from distributed.runtime.offline import VARIABLES
from schemas.spec.fleet import load_fleet
from schemas.spec.load import load_spec

ROOT = Path(__file__).resolve().parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
LAUNCHERS = [ROOT / "cluster.yaml", ROOT / "deploy" / "gcp.yaml"]
LABEL = "app.kubernetes.io/name"
RAY = next(
    line.partition("==")[2]
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if line.startswith("ray==")
)


def load(path: Path) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return config


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((KUBERNETES / name).read_text(encoding="utf-8")))


def rayjobs() -> Iterator[dict[str, Any]]:
    """The specs of all Ray jobs."""
    yield documents("rayjob.yaml")[0]["spec"]
    yield documents("nightly.yaml")[0]["spec"]
    yield documents("raycronjob.yaml")[0]["spec"]["jobTemplate"]


def pods(node: Any) -> Iterator[dict[str, Any]]:
    """Every pod template below."""
    if isinstance(node, dict):
        if "containers" in node.get("spec", {}):
            yield node
        for value in node.values():
            yield from pods(value)
    elif isinstance(node, list):
        for value in node:
            yield from pods(value)


@pytest.mark.parametrize("path", LAUNCHERS, ids=lambda path: path.name)
def test_rays_launcher_accepts_the_cluster(path: Path) -> None:
    config = load(path)
    if config["provider"]["type"] == "gcp":
        assert config["provider"]["project_id"] is None, "nobody's project is in the repository"
        config["provider"]["project_id"] = "mine"
    validate_config(prepare_config(config))
    broken = config | {"min_wokers": 1}
    with pytest.raises(jsonschema.ValidationError):
        validate_config(prepare_config(broken))


@pytest.mark.parametrize("path", LAUNCHERS, ids=lambda path: path.name)
def test_a_cluster_of_the_launcher_is_small_spot_pinned_and_closed(path: Path) -> None:
    config = load(path)
    head, gpu = config["available_node_types"]["head"], config["available_node_types"]["gpu"]
    assert head["resources"] == {"CPU": 0} and "min_workers" not in head
    assert gpu["min_workers"] == 0 and gpu["max_workers"] == config["max_workers"] == 8
    assert "spot" in str(gpu["node_config"]) or "'preemptible': True" in str(gpu["node_config"])
    assert config["docker"]["image"] == f"rayproject/ray:{RAY}-py311-gpu"
    assert any("make install LOCK=gpu" in line for line in config["worker_setup_commands"])
    starts = [
        line
        for line in config["head_start_ray_commands"] + config["worker_start_ray_commands"]
        if "ray start" in line
    ]
    assert len(starts) == 2 and all("RAY_AUTH_MODE=token" in line for line in starts)
    assert "--dashboard-host=127.0.0.1" in starts[0]
    assert {"/home/ray/.ray/auth_token", "/home/ray/.idleak/key"} <= config["file_mounts"].keys()


def test_the_launchers_differ_in_nothing_but_the_cloud() -> None:
    here, there = map(load, LAUNCHERS)
    assert {key for key in here if here[key] != there.get(key)} == {"provider", "available_node_types"}


def test_no_file_starts_anything_that_calls_home() -> None:
    """The variables of Ray's own processes and of onnxruntime; all of them in the images."""
    needed = {name: VARIABLES[name] for name in VARIABLES if name.startswith(("ORT_", "RAY_"))}
    image = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert all(f" {name}={value}" in image for name, value in VARIABLES.items())
    for path in LAUNCHERS:
        config = load(path)
        for line in config["head_start_ray_commands"] + config["worker_start_ray_commands"]:
            assert "ray start" not in line or all(f"{key}={needed[key]} " in line for key in needed), (
                path.name
            )
    for job in rayjobs():
        cluster = job["rayClusterSpec"]
        for group in [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]:
            environment = group["template"]["spec"]["containers"][0]["env"]
            assert needed.items() <= {each["name"]: each.get("value") for each in environment}.items()
    service = (ROOT / "deploy" / "systemd" / "idleak-nightly.service").read_text(encoding="utf-8")
    assert f"Environment={' '.join(f'{name}={value}' for name, value in needed.items())}\n" in service
    cron = (ROOT / "deploy" / "cron" / "idleak-nightly").read_text(encoding="utf-8")
    assert all(f"\n{name}={value}\n" in cron for name, value in needed.items())


def test_a_head_of_the_image_does_not_ask_clouds_what_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (line,) = re.findall(
        r"echo '(.*)' > /home/idleak/ray_bootstrap_config\.yaml", (ROOT / "Dockerfile").read_text()
    )
    asked: list[str] = []
    monkeypatch.setattr("requests.get", lambda url, **_: asked.append(url))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    usage_lib.get_cluster_config_to_report(str(tmp_path / "none.yaml"))
    assert asked, "Ray asks no cloud any more: the image needs no such file"
    asked.clear()
    (tmp_path / "ray_bootstrap_config.yaml").write_text(line, encoding="utf-8")
    usage_lib.get_cluster_config_to_report(str(tmp_path / "ray_bootstrap_config.yaml"))
    assert asked == []


def test_ray_reports_to_nobody_that_its_reports_are_off() -> None:
    """Its head does, to an address that is a variable of its own; requests refuses ours before it sends."""
    rays: Any = usage_lib
    assert rays._usage_stats_report_url() == VARIABLES["RAY_USAGE_STATS_REPORT_URL"]
    with pytest.raises(requests.exceptions.MissingSchema):
        rays.UsageReportClient().report_usage_data(
            rays._usage_stats_report_url(), rays.generate_disabled_report_data()
        )


def test_the_specs_of_the_cluster_can_be_read() -> None:
    assert load_spec(KUBERNETES / "audit.yaml").resources.grow_to == 8
    fleet = load_fleet(KUBERNETES / "fleet.yaml")
    assert [entry.key for entry in fleet.entries] == ["mine"]


def test_every_pod_is_bounded_labelled_and_bare() -> None:
    templates = [
        pod
        for path in KUBERNETES.glob("*.yaml")
        for document in documents(path.name)
        for pod in pods(document)
    ]
    assert len(templates) == 10
    for pod in templates:
        assert pod["metadata"]["labels"] == {LABEL: "idleak"}, "else the network policy does not hold for it"
        for container in pod["spec"]["containers"]:
            assert {"requests", "limits"} <= container["resources"].keys()
            tag = container["image"].partition(":")[2]
            assert tag and tag != "latest"
            environment = {variable["name"]: variable for variable in container.get("env", [])}
            assert not [name for name in environment if "TOKEN" in name]
            if "IDLEAK_KEY" in environment:
                assert "value" not in environment["IDLEAK_KEY"], "secrets are named, never written"


def test_every_pod_that_works_on_people_has_the_key() -> None:
    for job in rayjobs():
        cluster = job["rayClusterSpec"]
        groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
        for container in (group["template"]["spec"]["containers"][0] for group in groups):
            (key,) = [variable for variable in container["env"] if variable["name"] == "IDLEAK_KEY"]
            assert key["valueFrom"]["secretKeyRef"] == {"name": "idleak-key", "key": "key"}


def test_ray_asks_for_a_token_and_workers_come_from_zero() -> None:
    for job in rayjobs():
        cluster = job["rayClusterSpec"]
        assert cluster["authOptions"] == {"mode": "token"} and cluster["rayVersion"] == RAY
        assert cluster["enableInTreeAutoscaling"]
        assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
        (group,) = cluster["workerGroupSpecs"]
        assert (group["replicas"], group["minReplicas"], group["maxReplicas"]) == (0, 0, 8)
        assert job["shutdownAfterJobFinishes"] and job["backoffLimit"] == 1


def test_both_schedules_begin_the_same_night_and_never_two() -> None:
    (cron,) = documents("cronjob.yaml")
    (own,) = documents("raycronjob.yaml")
    assert cron["spec"]["concurrencyPolicy"] == "Forbid"
    assert cron["spec"]["schedule"] == own["spec"]["schedule"]
    assert own["spec"]["jobTemplate"] == documents("nightly.yaml")[0]["spec"]


@pytest.mark.parametrize(("code", "expected"), [(0, 0), (6, 0), (3, 3), (75, 75)])
def test_new_findings_are_no_failure_of_the_job(tmp_path: Path, code: int, expected: int) -> None:
    program = tmp_path / "idleak"
    program.write_text(f"#!/bin/sh\nexit {code}\n", encoding="utf-8")
    program.chmod(0o755)
    entrypoint = documents("nightly.yaml")[0]["spec"]["entrypoint"]
    path = f"{tmp_path}:{os.environ['PATH']}"
    assert subprocess.run(entrypoint, shell=True, env={"PATH": path}, check=False).returncode == expected


@pytest.mark.parametrize(
    ("state", "created"), [("", True), ("Complete", True), ("Failed", True), ("Running", False)]
)
def test_a_night_begins_only_where_the_last_is_over(tmp_path: Path, state: str, created: bool) -> None:
    program = tmp_path / "kubectl"
    program.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n[ "$1" = get ] && printf "{state}"\nexit 0\n',
        encoding="utf-8",
    )
    program.chmod(0o755)
    (cron,) = documents("cronjob.yaml")
    (container,) = cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run([*container["command"], *container["args"]], env={"PATH": path}, check=False)
    calls = (tmp_path / "calls").read_text(encoding="utf-8")
    assert (done.returncode == 0) == ("create" in calls) == created


def test_the_network_policy_holds_for_the_pods() -> None:
    (policy,) = [document for document in documents("base.yaml") if document["kind"] == "NetworkPolicy"]
    assert policy["spec"]["podSelector"]["matchLabels"] == {LABEL: "idleak"}
    assert set(policy["spec"]["policyTypes"]) == {"Ingress", "Egress"}
    assert all("from" in rule for rule in policy["spec"]["ingress"])
    (rule,) = policy["spec"]["ingress"]
    admitted = [peer["podSelector"]["matchLabels"] for peer in rule["from"]]
    # What KubeRay's Helm chart and its kustomization both give the operator's pod; its name differs.
    assert admitted == [{LABEL: "idleak"}, {"app.kubernetes.io/component": "kuberay-operator"}]


def test_the_night_is_begun_by_an_image_that_is_there_and_has_what_its_script_calls() -> None:
    """Bitnami took its images away; of Kubernetes' own one kubectl is all there is; alpine has no bash."""
    (cron,) = documents("cronjob.yaml")
    (container,) = cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert container["image"].startswith("alpine/kubectl:1.")
    assert container["command"] == ["sh", "-euc"]
    checked = subprocess.run(["sh", "-n"], input=container["args"][0], text=True, check=False)
    assert checked.returncode == 0


def test_the_images_are_built_from_pinned_parts_and_run_as_nobody_special() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    bases = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert bases == ["python:3.11-slim-bookworm", "base", "base"]
    assert text.count("USER idleak") == 2 and "LOCK=gpu" in text
    copied = re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE)
    allowed = (ROOT / ".dockerignore").read_text(encoding="utf-8")
    for name in " ".join(copied).split():
        assert (ROOT / name).exists() and f"!{name}\n" in allowed


@pytest.mark.skipif("KUBERAY_CRDS" not in os.environ, reason="KUBERAY_CRDS names no folder of KubeRay's CRDs")
@pytest.mark.parametrize("name", ["rayjob", "nightly", "raycronjob"])
def test_kuberays_schema_accepts_the_manifests(name: str) -> None:
    (manifest,) = documents(f"{name}.yaml")
    kind = f"ray.io_{manifest['kind'].lower()}s.yaml"
    versions = load(Path(os.environ["KUBERAY_CRDS"]) / kind)["spec"]["versions"]
    (schema,) = [version["schema"]["openAPIV3Schema"] for version in versions if version["name"] == "v1"]
    jsonschema.validate(manifest, strict(schema))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(manifest | {"spec": manifest["spec"] | {"spelled": "wrong"}}, strict(schema))


def strict(schema: Any) -> Any:
    """The schema as the API server reads it with strict validation: keys that it does not list are errors."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    strict_schema = {key: strict(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and "type" in schema:
        preserved = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
        top = {"apiVersion", "kind", "metadata"} <= schema["properties"].keys()
        strict_schema |= {} if preserved or top else {"additionalProperties": False}
    return strict_schema
