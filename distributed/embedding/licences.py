"""On what terms the models of faces are used, and whether a commercial audit may use them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from distributed.embedding.known_models import known_model
from distributed.embedding.zoo import Task, resolve_model
from schemas.spec.faces import INSIGHTFACE_LICENSE, FacesSpec, ModelSpec
from schemas.spec.locations import INSIGHTFACE_PREFIX
from schemas.spec.protection import AuthorisationSpec

NON_COMMERCIAL = re.compile(r"non-?\s?commercial|research (purposes )?only|\bNC\b", re.IGNORECASE)
UNKNOWN = "not stated"


@dataclass(frozen=True)
class Terms:
    """text: the licence. commercial: whether it allows commercial use; None where that is not known."""

    text: str
    commercial: bool | None


def licences(faces: FacesSpec) -> dict[str, Terms]:
    """`detector`, `recognizer NAME` -> its terms: what the spec states, else what is known of the file.

    Raises ModelError for a file that is missing.
    """
    known = {} if faces.detector is None else {"detector": terms_of(faces.detector, "detection")}
    for recognizer in faces.recognizers:
        known[f"recognizer {recognizer.name}"] = terms_of(recognizer, "recognition")
    return known


def terms_of(model: ModelSpec, task: Task) -> Terms:
    """Raises ModelError for a file that is missing."""
    if model.license is not None:
        return Terms(model.license, False if NON_COMMERCIAL.search(model.license) else None)
    if model.path.startswith(INSIGHTFACE_PREFIX):
        return Terms(INSIGHTFACE_LICENSE, False)
    published = known_model(resolve_model(model.path, task=task))
    if published is None:
        return Terms(UNKNOWN, None)
    return Terms(f"{published.license} ({published.name})", published.commercial)


def licence_warnings(faces: FacesSpec, authorisation: AuthorisationSpec | None) -> list[str]:
    """A sentence for each model that a commercial audit may not use, or of which that is not known."""
    if authorisation is None or not authorisation.commercial:
        return []
    return list(_warnings(faces))


def _warnings(faces: FacesSpec) -> Iterator[str]:
    for model, terms in licences(faces).items():
        if terms.commercial is False:
            yield (
                f"the audit is commercial (authorisation.commercial), and the licence of the {model} is "
                f"non-commercial: {terms.text}; use another (docs/models.md), or state the licence that you "
                "hold as its `license`"
            )
        elif terms.text == UNKNOWN:
            yield (
                f"the audit is commercial (authorisation.commercial), and the licence of the {model} is not "
                "known: state it as its `license`"
            )
