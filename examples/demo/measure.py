"""Does a generator leak?

python examples/demo/measure.py [--identities 16] [--generator PATH] [--recognizer PATH] [--samples 10000]

A short calculation, independent of idleak itself, by which the committed generator was chosen.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

# Read when onnxruntime is imported: without it, every session is reported to Microsoft.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray
from people import SIZE
from sklearn.metrics import roc_auc_score
from world import COHORT, MEMBER_COUNT, OVER_REPRESENTED, candidates, gallery_photos, members, render

MODELS = Path(__file__).parent / "models"
PHOTOS_PER_IDENTITY = 4
FDR, TOP, FALSE_MATCH_RATE = 0.05, 16, 1e-3
Floats = NDArray[np.float32]


def session(path: Path) -> onnxruntime.InferenceSession:
    """A model on one CPU thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        str(path), options, providers=["CPUExecutionProvider"], enable_fallback=0
    )


def run(model: onnxruntime.InferenceSession, batch: Floats) -> Floats:
    """The only output for the only input."""
    return np.asarray(model.run(None, {model.get_inputs()[0].name: batch})[0], dtype=np.float32)


def embed(recognizer: onnxruntime.InferenceSession, photos: NDArray[np.uint8]) -> Floats:
    """N × 112 × 112 × 3 to N unit templates."""
    templates = []
    for start in range(0, len(photos), 64):
        batch = (photos[start : start + 64].astype(np.float32).transpose(0, 3, 1, 2) - 127.5) / 127.5
        templates.append(run(recognizer, batch))
    raw = np.concatenate(templates)
    return np.asarray(raw / np.linalg.norm(raw, axis=1, keepdims=True))


def sample(generator: onnxruntime.InferenceSession, count: int) -> NDArray[np.uint8]:
    """`count` samples in the recogniser's frame: count × 112 × 112 × 3."""
    latents = np.random.default_rng(7).standard_normal((count, 64), dtype=np.float32)
    frames = []
    for start in range(0, count, 64):
        images = run(generator, latents[start : start + 64]).transpose(0, 2, 3, 1)
        frames += [enlarge(image) for image in np.rint((images + 1) * 127.5).clip(0, 255).astype(np.uint8)]
    return np.stack(frames)


def enlarge(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The generator's frame to the template's: (x + 0.5) s - 0.5 with s = 112 / size."""
    scale = SIZE / len(image)
    matrix = np.array([[scale, 0, (scale - 1) / 2], [0, scale, (scale - 1) / 2]])
    return np.asarray(cv2.warpAffine(image, matrix, (SIZE, SIZE)), dtype=np.uint8)


def scores(similarity: Floats, threshold: float) -> dict[str, NDArray[np.float64]]:
    """Photos × samples to one number per identity and score: the mean over the identity's photos."""
    top = np.sort(np.partition(similarity, -TOP, axis=1)[:, -TOP:], axis=1)
    per_photo = {
        "max": top[:, -1],
        "topk_mean": top.mean(axis=1),
        "hit_rate": (similarity > threshold).mean(axis=1),
    }
    return {
        name: value.reshape(-1, PHOTOS_PER_IDENTITY).mean(axis=1, dtype=np.float64)
        for name, value in per_photo.items()
    }


def conformal(candidate: NDArray[np.float64], cohort: NDArray[np.float64]) -> NDArray[np.float64]:
    """p = (1 + number of cohort scores at least as large) / (n + 1)."""
    return np.asarray((1 + (cohort[None, :] >= candidate[:, None]).sum(axis=1)) / (len(cohort) + 1))


def flagged(p: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Benjamini-Hochberg at FDR."""
    order = np.sort(p)
    passing = np.flatnonzero(order <= FDR * np.arange(1, len(p) + 1) / len(p))
    return np.asarray(p <= order[passing[-1]]) if len(passing) else np.zeros(len(p), dtype=bool)


def operating_threshold(templates: Floats) -> float:
    """The similarity that FALSE_MATCH_RATE of the cohort's non-mated pairs pass; one photo of each."""
    first = templates[::PHOTOS_PER_IDENTITY]
    rows, columns = np.triu_indices(len(first), 1)
    return float(np.quantile((first @ first.T)[rows, columns], 1 - FALSE_MATCH_RATE))


def report(name: str, candidate: NDArray[np.float64], cohort: NDArray[np.float64], count: int) -> None:
    """One line per score: AUC, flags, and where the over-represented identity stands."""
    seeds, known = np.array(candidates(count)), set(members(count))
    truth = np.array([seed in known for seed in seeds])
    p = conformal(candidate, cohort)
    flags, most = flagged(p), int(np.flatnonzero(seeds == OVER_REPRESENTED)[0])
    member_flags, other_flags = int(flags[truth].sum()), int(flags[~truth].sum())
    print(f"{name}: AUC {roc_auc_score(truth, candidate):.3f}", end="  ")
    print(
        f"flagged {member_flags} of {truth.sum()} members, {other_flags} of {(~truth).sum()} others", end="  "
    )
    rank = 1 + int((candidate > candidate[most]).sum())
    print(f"over-represented: score {candidate[most]:.4f} rank {rank} p {p[most]:.5f}", end="  ")
    medians = np.median(candidate[truth]), np.median(candidate[~truth]), np.median(cohort)
    print("medians of members, others, cohort: {:.4f} {:.4f} {:.4f}".format(*medians), flush=True)


def main() -> None:
    """Sample, embed, compare, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--identities", type=int, default=MEMBER_COUNT)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--generator", type=Path, default=MODELS / "generator.onnx")
    parser.add_argument("--recognizer", type=Path, default=MODELS / "recognizer.onnx")
    arguments = parser.parse_args()
    recognizer = session(arguments.recognizer)
    everybody = gallery_photos([*candidates(arguments.identities), *COHORT], PHOTOS_PER_IDENTITY)
    gallery = embed(recognizer, render(everybody))
    split = len(candidates(arguments.identities))
    threshold = operating_threshold(gallery[split * PHOTOS_PER_IDENTITY :])
    samples = embed(recognizer, sample(session(arguments.generator), arguments.samples))
    for name, value in scores(gallery @ samples.T, threshold).items():
        report(name, value[:split], value[split:], arguments.identities)


if __name__ == "__main__":
    main()
