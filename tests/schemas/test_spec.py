from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from distributed.embedding.licences import terms_of
from schemas.errors import SpecError
from schemas.spec.audit import AuditSpec
from schemas.spec.gallery import PeopleSpec
from schemas.spec.generators.images import ImagesGenerator
from schemas.spec.generators.onnx import OnnxGenerator
from schemas.spec.load import load_spec

CONTRACT = """
name: lfw
seed: 7
generator:
  kind: onnx
  path: models/generator.onnx
  latent: {dim: 256}
  output: {layout: nchw, range: [0, 1], channels: rgb}
samples: 20000
shard_size: 2000
faces:
  detector: {path: models/det_500m.onnx, sizes: [128, 640], threshold: 0.5}
  landmarks: null
  recognizers:
    - {name: mbf, path: models/w600k_mbf.onnx, input: {channels: rgb, mean: 127.5, std: 127.5}}
gallery:
  candidates: {images: faces/candidates}
  cohort: {images: faces/cohort}
  detector: true
  labels: labels.csv
membership: {scores: [max, topk_mean, hit_rate], topk: 16, fdr: 0.05}
resources: {device: auto, workers: auto, threads_per_worker: auto}
output: runs/lfw
"""


def raw() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(CONTRACT)
    return content


def load(folder: Path, content: Any) -> AuditSpec:
    path = folder / "spec.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
    return load_spec(path)


def changed(key: str, value: Any) -> dict[str, Any]:
    """The contract with the dotted `key` set to `value`."""
    content = raw()
    inner: Any = content
    *parents, last = [int(part) if part.isdigit() else part for part in key.split(".")]
    for part in parents:
        inner = inner[part]
    inner[last] = value
    return content


def test_the_contract_is_read_with_paths_relative_to_the_spec(tmp_path: Path) -> None:
    spec = load(tmp_path, CONTRACT)
    assert isinstance(spec.generator, OnnxGenerator) and spec.generator.path == str(
        tmp_path / "models" / "generator.onnx"
    )
    assert isinstance(spec.gallery.cohort, PeopleSpec)
    assert spec.gallery.cohort.images == str(tmp_path / "faces" / "cohort")
    assert spec.gallery.labels == str(tmp_path / "labels.csv")
    assert spec.output == str(tmp_path / "runs" / "lfw")
    assert spec.faces.recognizers[0].input.mean == (127.5, 127.5, 127.5)


def test_insightfaces_weights_need_their_terms_to_be_accepted(tmp_path: Path) -> None:
    content = changed("output", "s3://bucket/run")
    content["faces"]["recognizers"][0]["path"] = "insightface:buffalo_l"
    with pytest.raises(SpecError, match="non-commercial research only: set accept_license: true"):
        load(tmp_path, content)
    content["faces"]["recognizers"][0]["accept_license"] = True
    recognizer = load(tmp_path, content).faces.recognizers[0]
    assert terms_of(recognizer, "recognition").text.startswith("InsightFace")


def test_a_keys_file_is_named_from_the_specs_folder(tmp_path: Path) -> None:
    content = changed("protection", {"key": "{file:keys/mine}", "kms": "wrap.py"})
    protection = load(tmp_path, content).protection
    assert protection.key == f"{{file:{tmp_path}/keys/mine}}" and protection.kms == str(tmp_path / "wrap.py")
    with pytest.raises(SpecError, match=r"protection\.key"):
        load(tmp_path, changed("protection", {"key": "secret itself"}))


def test_what_is_no_local_path_stays_as_it_is(tmp_path: Path) -> None:
    content = changed("output", "s3://bucket/run")
    content["faces"]["recognizers"][0] |= {"path": "insightface:buffalo_l", "accept_license": True}
    spec = load(tmp_path, content)
    assert spec.output == "s3://bucket/run"
    assert spec.faces.recognizers[0].path == "insightface:buffalo_l"


def test_defaults_and_other_forms(tmp_path: Path) -> None:
    content = raw()
    for key in ("seed", "shard_size", "membership", "resources"):
        del content[key]
    content["generator"] = {"kind": "images", "path": "generated"}
    content["faces"]["recognizers"][0]["input"]["mean"] = [1, 2, 3]
    spec = load(tmp_path, content)
    assert isinstance(spec.generator, ImagesGenerator)
    assert list(spec.faces.recognizers[0].input.mean) == [1, 2, 3]
    assert spec.membership.topk == 16 and spec.membership.fdr == 0.05 and spec.resources.device == "auto"


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("sample", 3, "sample: no such key"),
        ("generator.latent.dims", 3, "generator.onnx.latent.dims: no such key"),
        ("samples", 0, "samples: Input should be greater than 0 (got 0)"),
        ("samples", "many", "samples: Input should be a valid integer"),
        ("seed", -1, "greater than or equal to 0 (got -1)"),
        ("generator.kind", "onxx", "'onnx', 'torchscript'"),
        ("generator.output.range", [1, 0], "low < high"),
        ("generator.output.layout", "chw", "Input should be 'nchw' or 'nhwc' (got 'chw')"),
        ("faces.detector.sizes", [100], "multiple of 32 (got [100])"),
        ("faces.detector.threshold", 1.5, "less than 1 (got 1.5)"),
        ("faces.landmarks", [[1, 1]] * 5, "five different points"),
        ("faces.landmarks", [[1, 2], [3, 4]], "faces.landmarks.2: missing"),
        ("faces.recognizers", [], "at least 1 item"),
        ("faces.recognizers.0.name", "a/b", "String should match pattern"),
        ("faces.recognizers.0.input.std", 0, "greater than 0"),
        ("faces.recognizers.0.input.mean", float("nan"), "finite number"),
        ("gallery.candidates", {}, "either images (a folder) or parquet"),
        ("membership.scores", ["max", "max"], "scores must not repeat"),
        ("membership.scores", ["best"], "'calibrated' or 'consensus' (got 'best')"),
        ("membership.scores", ["max", "z_norm"], "z_norm is of version 0.1 and not computed any more"),
        ("membership.fdr", 0, "greater than 0"),
        ("resources.device", "gpu", "'auto', 'cpu' or 'cuda' (got 'gpu')"),
        ("faces.detector", None, "give a detector, or the landmarks"),
    ],
)
def test_a_bad_field_is_named_with_its_value_and_what_was_expected(
    tmp_path: Path, key: str, value: Any, says: str
) -> None:
    with pytest.raises(SpecError) as refusal:
        load(tmp_path, changed(key, value))
    message = str(refusal.value)
    assert says in message
    assert "\n" not in message and "spec.yaml" in message


def test_all_bad_fields_are_named_at_once(tmp_path: Path) -> None:
    content = changed("samples", 0) | {"nonsense": 1}
    del content["name"]
    with pytest.raises(SpecError, match=r"(?=.*samples)(?=.*nonsense)(?=.*name: missing)"):
        load(tmp_path, content)


@pytest.mark.parametrize("text", ["", "- a\n- b", "just text", "a: [", "\x00", "a: &a [*a, *a]"])
def test_what_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SpecError):
        load(tmp_path, text)


def test_a_spec_is_frozen(tmp_path: Path) -> None:
    spec = load(tmp_path, CONTRACT)
    with pytest.raises(ValidationError):
        spec.__setattr__("samples", 3)


def paths_of(content: Any, prefix: str = "") -> list[str]:
    """Dotted keys of all that can be replaced."""
    if isinstance(content, dict):
        pairs = list(content.items())
    else:
        pairs = list(enumerate(content)) if isinstance(content, list) else []
    inner = [path for key, value in pairs for path in paths_of(value, f"{prefix}{key}.")]
    return [f"{prefix}{key}" for key, _ in pairs] + inner


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(key=st.sampled_from(paths_of(raw())), value=junk)
def test_junk_never_gives_anything_but_a_spec_or_a_refusal(
    tmp_path_factory: pytest.TempPathFactory, key: str, value: Any
) -> None:
    folder = tmp_path_factory.mktemp("junk")
    try:
        spec = load(folder, changed(key, copy.deepcopy(value)))
    except SpecError as refusal:
        assert "\n" not in str(refusal)
    else:
        assert isinstance(spec, AuditSpec)
