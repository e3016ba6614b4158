"""Files of a run that say which idleak wrote them: read back, unless a later one wrote more than is known."""

from __future__ import annotations

import json
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from distributed.storage.store import RunStore
from schemas.errors import DamagedError, WrongRunError
from schemas.version import idleak_version, is_later

Model = TypeVar("Model", bound=BaseModel)


def read_versioned(store: RunStore, path: str, model: type[Model], advice: str) -> Model:
    """The JSON at `path`. advice: what is wrong with a file that does not fit, and what helps.

    Raises MissingFileError, StoreError; WrongRunError if a later idleak wrote more than this one knows,
    DamagedError if it does not fit its model for another reason.
    """
    content = store.read(path)
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        _require_known_version(store, content)
        raise DamagedError(f"{store.location}/{path} {advice}") from error


def _require_known_version(store: RunStore, content: bytes) -> None:
    """Raise WrongRunError if a file of the run says that a later idleak wrote it."""
    try:
        fields = json.loads(content)
    except (ValueError, RecursionError):
        return
    match fields:
        case {"version": str(made_by)} | {"versions": {"idleak": str(made_by)}}:
            if is_later(made_by, here := idleak_version()):
                raise WrongRunError(
                    f"{store.location} was made by idleak {made_by}, and this is {here}: open it with "
                    f"{made_by} or a later one"
                )
