"""Network pickles, with a stand-in for NVlabs' checkout that follows its calling conventions."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from distributed.sampling.adapters import generator_fields, open_generator
from distributed.sampling.sandbox.trust import code_digests
from schemas.errors import ModelError, TrustError
from schemas.spec.generators import GeneratorSpec
from tests.support.stand_in import CODE, checkout, network


@pytest.fixture
def code(tmp_path: Path) -> Path:
    return checkout(tmp_path / "checkout")


def generator(path: Path, code: Path, **fields: Any) -> Any:
    raw = {"kind": "stylegan", "path": str(path), "code": str(code)} | fields
    spec: Any = TypeAdapter(GeneratorSpec).validate_python(raw)
    return spec.model_copy(update={"trust": tuple(code_digests(spec).values())})


def images(spec: Any, ids: list[int], seed: int = 5) -> np.ndarray:
    samples = open_generator(spec, seed, device="cpu", threads=1).sample(np.array(ids, np.int64))
    return np.stack([np.asarray(sample) for sample in samples])


def expected(code: Path, path: Path, body: str) -> np.ndarray:
    """What the convention written out gives, in a process that may import the code."""
    program = (
        "import sys, pickle, numpy as np, torch\n"
        f"sys.path.insert(0, {str(code)!r})\n"
        f"G = pickle.load(open({str(path)!r}, 'rb'))['G_ema'].eval()\n"
        f"with torch.no_grad():\n    images = {body}\n"
        "images = (images.permute(0, 2, 3, 1) * 127.5 + 128).clamp(0, 255).to(torch.uint8)\n"
        "sys.stdout.buffer.write(images.numpy().tobytes())\n"
    )
    done = subprocess.run([sys.executable, "-B", "-c", program], check=True, stdout=subprocess.PIPE)
    return np.frombuffer(done.stdout, np.uint8).reshape(-1, 8, 8, 3)


def test_seeds_are_those_of_nvlabs(code: Path) -> None:
    path = network(code)
    ours = images(generator(path, code, seeds="nvlabs", truncation=0.7), [0, 3])
    call = "torch.cat([G(torch.from_numpy(np.random.RandomState(s).randn(1, 6)), torch.zeros(1, 0), "
    wanted = expected(code, path, call + "truncation_psi=0.7, noise_mode='const') for s in (5, 8)])")
    np.testing.assert_array_equal(ours, wanted)
    assert not np.array_equal(images(generator(path, code, truncation=0.7), [0, 3]), wanted)


@pytest.mark.slow
def test_classes_and_truncations_are_crossed_with_samples(code: Path) -> None:
    path = network(code, classes=3)
    factors = {"truncation": [0.5, 1.0], "label": [0, 2]}
    swept = images(generator(path, code, factors=factors), list(range(8)))
    for place, (psi, label) in enumerate(((0.5, 0), (0.5, 2), (1.0, 0), (1.0, 2))):
        alone = images(generator(path, code, truncation=psi, label=label), [0, 1])
        np.testing.assert_array_equal(swept[[place, place + 4]], alone)
    drawn = images(generator(path, code), list(range(30)))
    fixed = [images(generator(path, code, label=label), list(range(30))) for label in range(3)]
    matches = np.stack([(drawn == of_class).all(axis=(1, 2, 3)) for of_class in fixed])
    assert (matches.sum(0) == 1).all() and (matches.sum(1) > 2).all()


def test_the_transform_is_the_inverse(code: Path) -> None:
    path = network(code, transform=True)
    turned = generator(path, code, seeds="nvlabs", rotate=30, translate=[0.02, 0.0])
    body = (
        "G(torch.from_numpy(np.random.RandomState(5).randn(1, 6)), torch.zeros(1, 0), noise_mode='const')"
        " + float(np.linalg.inv(M)[0, 1]) + 10 * float(np.linalg.inv(M)[0, 2])"
    )
    matrix = "np.array([[c, s, 0.02], [-s, c, 0], [0, 0, 1]])"
    made = f"[{body} for s, c in [(np.sin(np.pi / 6), np.cos(np.pi / 6))] for M in [{matrix}]][0]"
    difference = np.abs(images(turned, [0]).astype(int) - expected(code, path, made).astype(int))
    assert difference.max() <= 1


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"rotate": 10}, "is no StyleGAN3"),
        ({"label": 3}, "has 0 classes"),
        pytest.param({"factors": {"label": [1]}}, "has 0 classes", marks=pytest.mark.slow),
    ],
)
def test_what_the_network_has_not_is_refused(code: Path, fields: Any, says: str) -> None:
    with pytest.raises(ModelError, match=says):
        images(generator(network(code), code, **fields), [0])


def test_factors_of_other_kinds_are_refused(code: Path) -> None:
    for factors in ({"psi": [1]}, {"label": [0.5]}, {"truncation": ["a"]}):
        with pytest.raises(ValidationError):
            generator(code / "legacy.py", code, factors=factors)


def test_both_the_pickle_and_the_checkout_must_be_trusted(code: Path) -> None:
    spec = generator(network(code), code)
    for trust in ((), spec.trust[:1], spec.trust[1:]):
        with pytest.raises(TrustError):
            images(spec.model_copy(update={"trust": trust}), [0])
    before = generator_fields(spec)
    (code / "training" / "networks.py").write_text(CODE["training/networks.py"] + "\n", encoding="utf-8")
    assert generator_fields(spec) != before
    with pytest.raises(TrustError):
        images(spec, [0])


def test_a_checkout_of_something_else_is_told(code: Path) -> None:
    path = network(code)
    (code / "legacy.py").unlink()
    with pytest.raises(ModelError, match="give NVlabs' checkout"):
        images(generator(path, code), [0])
