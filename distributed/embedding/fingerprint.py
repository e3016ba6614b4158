"""What of a spec's `faces` changes a template."""

from __future__ import annotations

from distributed.embedding.zoo import resolve_model
from distributed.runtime.digests import digest_model
from schemas.spec.faces import FacesSpec, Search


def faces_fields(faces: FacesSpec, *, detector: bool, search: Search) -> dict[str, str]:
    """The fields of all models that make templates; `search` is how the detector is used, if it is.

    The field of `search` is left out for `all`: that is how all images were searched up to version 0.1.
    Raises ModelError for missing files.
    """
    fields = recognizer_fields(faces)
    if detector and faces.detector is not None:
        path = resolve_model(faces.detector.path, task="detection")
        fields["faces.detector.sha256"] = digest_model(path)
        fields["faces.detector.sizes"] = repr(faces.detector.sizes)
        fields["faces.detector.threshold"] = repr(faces.detector.threshold)
        if search != "all":
            fields["faces.detector.search"] = search
    return fields


def recognizer_fields(faces: FacesSpec) -> dict[str, str]:
    """The fields that two templates must share to be comparable."""
    fields = {}
    for recognizer in faces.recognizers:
        key = f"faces.recognizers.{recognizer.name}"
        fields[f"{key}.sha256"] = digest_model(resolve_model(recognizer.path, task="recognition"))
        fields[f"{key}.input"] = (
            f"{recognizer.input.channels} mean {recognizer.input.mean} std {recognizer.input.std}"
        )
    return fields
