"""Published detectors and recognisers, known by the sha256 of their files: licence and preprocessing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from distributed.embedding.usual_inputs import IMAGENET, PLAIN, SCALED, Scale, input_of
from distributed.runtime.digests import digest_file
from schemas.spec.faces import INSIGHTFACE_LICENSE, RecognizerInput


@dataclass(frozen=True)
class KnownModel:
    """name: of the file, and whose it is. license: of the weights, as their publisher states it.
    commercial: whether it allows commercial use. input: preprocessing of a recogniser."""

    name: str
    license: str
    commercial: bool
    input: RecognizerInput | None = None


def _insightface(name: str, scale: Scale | None = None) -> KnownModel:
    chosen = None if scale is None else input_of("rgb", scale)
    return KnownModel(f"InsightFace's {name}", INSIGHTFACE_LICENSE, False, chosen)


def _retinaface(name: str) -> KnownModel:
    return KnownModel(f"retinaface-pytorch's {name}", "MIT", True)


def _adaface(name: str, data: str) -> KnownModel:
    return KnownModel(f"AdaFace {name}", f"MIT; trained on {data}", True, input_of("bgr", SCALED))


# Where licence, digest and preprocessing are from: docs/models.md.
KNOWN_MODELS = {
    "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4": KnownModel(
        "YuNet 2023mar of opencv_zoo", "MIT", True
    ),
    "5838f7fe053675b1c7a08b633df49e7af5495cee0493c7dcf6697200b85b5b91": _insightface(
        "SCRFD-10GF (det_10g, scrfd_10g_bnkps)"
    ),
    "5e4447f50245bbd7966bd6c0fa52938c61474a04ec7def48753668a9d8b4ea3a": _insightface(
        "SCRFD-500MF (det_500m)"
    ),
    "b7a7acab55e104dce6f32cdfff929bd83946da5cd869b9e2e9bdffafd1b7e4a5": _retinaface("MobileNet-0.25"),
    "d8977186f6037999af5b4113d42ba77a84a6ab0c996b17c713cc3d53b88bfc37": _retinaface("MobileNet-0.50"),
    "75c961aaf0aff03d13c074e9ec656e5510e174454dd4964a161aab4fe5f04153": _retinaface("MobileNet-V1"),
    "3ca44c045651cabeed1193a1fae8946ad1f3a55da8fa74b341feab5a8319f757": _retinaface("MobileNet-V2"),
    "e8b5ddd7d2c3c8f7c942f9f10cec09d8e319f78f09725d3f709631de34fb649d": _retinaface("ResNet-18"),
    "bd0263dc2a465d32859555cb1741f2d98991eb0053696e8ee33fec583d30e630": _retinaface("ResNet-34"),
    "0ba9fbfa01b5270c96627c4ef784da859931e02f04419c829e83484087c34e79": KnownModel(
        "SFace 2021dec of opencv_zoo", "Apache-2.0", True, input_of("rgb", PLAIN)
    ),
    "a7933ea5330113b01c9b60351d8f4c33003f145d8470ac5f0e52ee2effe25c60": KnownModel(
        "AuraFace v1 (glintr100)", "Apache-2.0", True, input_of("rgb", SCALED)
    ),
    "4c06341c33c2ca1f86781dab0e829f88ad5b64be9fba56e56bc9ebdefc619e43": _insightface(
        "ResNet-50 of buffalo_l (w600k_r50)", SCALED
    ),
    "9cc6e4a75f0e2bf0b1aed94578f144d15175f357bdc05e815e5c4a02b319eb4f": _insightface(
        "MobileFaceNet of buffalo_s (w600k_mbf)", SCALED
    ),
    "4ab1d6435d639628a6f3e5008dd4f929edf4c4124b1a7169e1048f9fef534cdf": _insightface(
        "ResNet-100 of antelopev2 (glintr100)", SCALED
    ),
    "6b6a35772fb636cdd4fa86520c1a259d0c41472a76f70f802b351837a00d9870": _adaface("IR-18", "WebFace4M"),
    "f2eb07d03de0af560a82e1214df799fec5e09375d43521e2868f9dc387e5a43e": _adaface("IR-101", "WebFace12M"),
    "b7120c095d60094f28a4a54ba6a8bf51b297a6273fb40ef6350dfec1f63d9507": KnownModel(
        "foamliu's MobileFaceNet", "Apache-2.0; trained on MS1M", True, input_of("rgb", IMAGENET)
    ),
    "51fb300eef013bfcfe84ec1488f77c7cf87aeb11b1308df4d04d6200f74380b4": KnownModel(
        "Open Model Zoo's face-reidentification-retail-0095", "Apache-2.0", True, input_of("bgr", PLAIN)
    ),
}
"""sha256 of a file -> what it is."""


def known_model(path: Path) -> KnownModel | None:
    """What the file is, if it is a published one. Raises ModelError if it cannot be read."""
    stat = path.stat() if path.is_file() else None
    stamp = None if stat is None else (stat.st_size, stat.st_mtime_ns)
    return KNOWN_MODELS.get(_digest(path, stamp))


@cache
def _digest(path: Path, stamp: tuple[int, int] | None) -> str:
    """stamp: so that a changed file is read again."""
    return digest_file(path)
