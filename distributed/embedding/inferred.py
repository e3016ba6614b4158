"""What is inferred of the models of faces, in sentences for `plan` and `run.json`."""

from __future__ import annotations

from distributed.embedding.detectors.known import detector_text
from distributed.embedding.zoo import resolve_model
from schemas.spec.faces import FacesSpec


def faces_notices(faces: FacesSpec) -> list[str]:
    """Raises ModelError for a file that is missing or of no kind that is read."""
    if faces.detector is None:
        return []
    return [detector_text(resolve_model(faces.detector.path, task="detection"))]
