"""What a run tells: log lines for machines, metrics for Prometheus, and nobody's name in either."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import pytest

from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from tests.support.processes import ROOT, run_apart
from tests.support.small_world import SmallWorld

DASHBOARD = ROOT / "deploy" / "grafana" / "idleak.json"
CANARY = "Anna-Canary-7f3a"
SCRIPT = """
import logging, os, socket, sys, time, urllib.request
import ray
from jobs.__main__ import main

with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False,
         logging_level=logging.ERROR, _node_ip_address="127.0.0.1", _metrics_export_port=port,
         _system_config={"metrics_report_interval_ms": 500})
code = main(["audit", "--unnamed", sys.argv[1]])
for _ in range(60):
    time.sleep(0.5)
    try:
        text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
    except OSError:
        continue
    ratios = [line for line in text.splitlines() if line.startswith("ray_idleak_progress_ratio")]
    if any('stage="reducing"' in line and line.endswith(" 1.0") for line in ratios):
        break
open(sys.argv[2], "w").write(text)
sys.exit(code)
"""


@pytest.fixture(scope="module")
def logs_and_metrics(world_template: SmallWorld, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Of an audit of people with a canary's name and a photo too many: stderr and stdout, and the metrics."""
    folder = tmp_path_factory.mktemp("told")
    world = world_template.copy(folder / "world")
    (world.folder / "candidates" / "person-010").rename(world.folder / "candidates" / CANARY)
    (world.folder / "candidates" / CANARY / f"{CANARY}.png").write_bytes(b"no image")
    (world.folder / "labels.csv").write_text(f"identity,member\n{CANARY},0\nperson-000,1\n", encoding="utf-8")
    metrics = folder / "metrics"
    done = run_apart(
        sys.executable,
        "-c",
        SCRIPT,
        str(world.spec_path()),
        str(metrics),
        timeout=200,
        environment={"IDLEAK_LOG": "json"},
    )
    assert done.returncode == ExitCode.OK, done.stdout + done.stderr
    return done.stdout + done.stderr, metrics.read_text(encoding="utf-8")


def values(metrics: str, name: str, **tags: str) -> list[float]:
    """Of the samples of a metric that have these tags."""
    lines = [line for line in metrics.splitlines() if line.startswith(f"ray_{name}{{")]
    kept = [line for line in lines if all(f'{tag}="{value}"' in line for tag, value in tags.items())]
    return [float(line.rpartition(" ")[2]) for line in kept]


def test_the_metrics_are_those_of_the_run(logs_and_metrics: tuple[str, str]) -> None:
    metrics = logs_and_metrics[1]
    assert values(metrics, "idleak_images_total", stage="sampling", outcome="ok") == [600.0]
    assert values(metrics, "idleak_images_total", stage="enrolling", outcome="invalid_image") == [1.0]
    assert values(metrics, "idleak_tasks_total", stage="sampling", what="shard_done") == [6.0]
    assert values(metrics, "idleak_tasks_left", stage="sampling") == [0.0]
    for stage in ("enrolling", "sampling", "reducing"):
        assert values(
            metrics, "idleak_progress_ratio", stage=stage, generator="onnx", recognizers="tiny"
        ) == [1]
    assert values(metrics, "idleak_workers", stage="sampling") == [0.0]
    assert values(metrics, "idleak_task_seconds_count", stage="sampling") == [6.0]
    (seconds,) = values(metrics, "idleak_step_seconds_count", stage="sampling", step="embed")
    assert seconds == 6.0 and values(metrics, "idleak_written_bytes_total", stage="sampling")[0] > 10_000
    for step in ("read", "compare", "write"):
        assert values(metrics, "idleak_step_seconds_count", stage="reducing", step=step) == [1.0]
    assert values(metrics, "idleak_crops_at_once", stage="sampling", recognizer="tiny")[0] >= 1


def test_the_dashboard_asks_for_metrics_that_there_are(logs_and_metrics: tuple[str, str]) -> None:
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    variables = dashboard["templating"]["list"]
    queries += [variable["definition"] for variable in variables if "definition" in variable]
    asked = set(re.findall(r"\bray_idleak_\w+", " ".join(queries)))
    there = set(re.findall(r"^(ray_idleak_\w+)\{", logs_and_metrics[1], re.MULTILINE))
    assert asked <= there
    families = set(re.findall(r"^# TYPE (ray_idleak_\w+?)(?:_total)? ", logs_and_metrics[1], re.MULTILINE))
    assert all(any(metric.startswith(family) for metric in asked) for family in families), "each is drawn"


def test_nobodys_name_is_in_logs_or_metrics(logs_and_metrics: tuple[str, str]) -> None:
    for text in logs_and_metrics:
        assert CANARY not in text and "person-0" not in text and "other-0" not in text


def test_log_lines_are_json_with_run_shard_and_worker(logs_and_metrics: tuple[str, str]) -> None:
    text = logs_and_metrics[0]
    lines: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    end = lines.pop()
    assert (end["event"], end["exit_code"], end["error"], end["level"]) == ("end", 0, "", "info")
    shards = [line for line in lines if line["event"] == "shard_done" and line["stage"] == "sampling"]
    assert {shard["shard"] for shard in shards} == set(range(6))
    assert len({line["run"] for line in lines}) == 1 and all(len(shard["worker"]) == 32 for shard in shards)
    assert all({"time", "level", "event", "run", "stage"} <= line.keys() for line in lines)
    last = [line for line in lines if line["event"] == "progress" and line["stage"] == "sampling"][-1]
    assert (last["done"], last["total"], last["seconds_left"]) == (600, 600, 0)


def test_a_form_that_there_is_none_of_is_refused(
    small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("IDLEAK_LOG", "xml")
    assert main(["audit", str(small_world.spec_path())]) == ExitCode.BAD_SPEC
    assert "IDLEAK_LOG=xml: set it to text or json" in capsys.readouterr().err


def test_a_log_for_machines_gets_the_kind_of_an_error_and_people_its_message(
    small_world: SmallWorld, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("IDLEAK_LOG", "json")
    people = small_world.folder / "candidates"
    (people / CANARY).mkdir()
    (people / CANARY / "0.png").symlink_to(small_world.folder / "cohort" / "other-000" / "0.png")
    assert main(["enroll", str(small_world.spec_path())]) == ExitCode.BAD_SPEC
    line, message = capsys.readouterr().err.splitlines()
    end = json.loads(line)
    assert (end["event"], end["exit_code"], end["error"], end["level"]) == ("end", 2, "SpecError", "error")
    assert CANARY not in line and message.startswith("idleak: ") and CANARY in message
