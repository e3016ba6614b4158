"""Which family a detector's file is of."""

from __future__ import annotations

from pathlib import Path

import onnx

from distributed.embedding.detectors.family import Family, no_detector
from distributed.embedding.detectors.retinaface import Retinaface
from distributed.embedding.detectors.scrfd import Scrfd
from distributed.embedding.detectors.yunet import Yunet
from distributed.runtime.onnx_graph import input_shape, read_model

FAMILIES: tuple[type[Family], ...] = (Scrfd, Yunet, Retinaface)


def family_of(path: Path, model: onnx.ModelProto) -> type[Family]:
    """The family by the number of the graph's outputs, which a trial run has to confirm.

    Raises ModelError for a file that is of none.
    """
    shape, count = input_shape(model), len(model.graph.output)
    if shape is None or len(shape) != 4 or shape[1] not in (3, None):
        raise no_detector(path, f"its input is {shape}, not N×3×H×W")
    for family in FAMILIES:
        if count in family.outputs:
            return family
    raise no_detector(path, f"it has {count} output{'s' * (count != 1)}")


def detector_text(path: Path) -> str:
    """What was inferred of a detector from its file. Raises ModelError for one that is of no family."""
    model = read_model(path)
    family = family_of(path, model)
    return (
        f"the detector's family is {family.name}, by its {len(model.graph.output)} outputs: it is given "
        f"{family.pixels.text}, and boxes that overlap by more than {family.overlap:g} are of one face"
    )
