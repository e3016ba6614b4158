"""What is inferred of the models of faces, in sentences for `plan` and `run.json`."""

from __future__ import annotations

from distributed.embedding.detectors.known import detector_text
from distributed.embedding.licences import licences
from distributed.embedding.zoo import resolve_model
from schemas.spec.faces import FacesSpec


def faces_notices(faces: FacesSpec) -> list[str]:
    """Raises ModelError for a file that is missing or of no kind that is read."""
    terms = [f"licence of the {model}: {terms.text}" for model, terms in licences(faces).items()]
    if faces.detector is None:
        return terms
    return [detector_text(resolve_model(faces.detector.path, task="detection")), *terms]
