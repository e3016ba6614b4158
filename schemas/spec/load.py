"""A spec read from its file: YAML to frozen values, with one line for all that is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from schemas.errors import SpecError
from schemas.frozen import Frozen
from schemas.printable import shortened
from schemas.spec.audit import AuditSpec
from schemas.spec.generators import GeneratorSpec
from schemas.spec.locations import absolute
from schemas.spec.membership import RETIRED_SCORES
from schemas.spec.people.short_form import SHORT_FORM
from schemas.spec.yaml_text import read_yaml

MOST_TOLD, LONGEST_TOLD = 8, 200


class GeneratorOnly(Frozen):
    """A file that `idleak inspect` has printed the block of, and nothing else."""

    generator: GeneratorSpec


Spec = TypeVar("Spec", bound=Frozen)


def load_spec(path: Path) -> AuditSpec:
    """Read a spec and make its paths absolute, relative to the spec's own folder.

    Raises SpecError, one line for all bad fields: each with its name, its value and what was expected.
    """
    return parse_spec(read_keys(path, "an audit spec"), path, path.resolve().parent)


def parse_spec(raw: Mapping[str, Any], source: object, base: Path) -> AuditSpec:
    """The spec of these keys, its paths relative to `base`. Raises SpecError, which begins with `source`."""
    written = validated(AuditSpec, raw, source)
    require_current_scores(written, source)
    return absolute(written, base).written_as(written)


def require_current_scores(spec: AuditSpec, source: object) -> None:
    """Raises SpecError for a score of an earlier version, by which nobody is judged any more."""
    if retired := [name for name in spec.membership.scores if name in RETIRED_SCORES]:
        verb = "is" if len(retired) == 1 else "are"
        raise SpecError(
            f"{source}: membership.scores: {', '.join(retired)} {verb} of version 0.1 and not computed any "
            "more; write margin instead"
        )


def load_generator(path: Path) -> GeneratorSpec:
    """The generator of an audit's spec, or of a file that holds `generator` alone. Raises as `load_spec`."""
    raw = read_keys(path, "an audit spec")
    if raw.keys() != {"generator"}:
        return load_spec(path).generator
    return absolute(validated(GeneratorOnly, raw, path), path.resolve().parent).generator


def read_keys(path: Path, what: str) -> dict[str, Any]:
    """The keys of a YAML file that holds `what`. Raises SpecError as `read_yaml`, or if it holds no keys."""
    raw = read_yaml(path, what)
    if not isinstance(raw, dict):
        raise SpecError(f"{path} must hold the keys of {what}, not a {type(raw).__name__}")
    return raw


def validated(kind: type[Spec], raw: Mapping[str, Any], source: object) -> Spec:
    """The keys as values. Raises SpecError, one line that begins with `source`, for all bad fields."""
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        problems = [_explain(detail) for detail in error.errors()]
        more = [f"and {len(problems) - MOST_TOLD} more"] if len(problems) > MOST_TOLD else []
        raise SpecError(f"{source}: {'; '.join([*problems[:MOST_TOLD], *more])}") from error


def _explain(detail: Any) -> str:
    places = [str(part) for part in detail["loc"] if part != SHORT_FORM]
    field = shortened(".".join(places) or "the spec", LONGEST_TOLD)
    if detail["type"] == "extra_forbidden":
        return f"{field}: no such key; remove it or correct its spelling"
    if detail["type"] == "missing":
        return f"{field}: missing; it is required"
    message = detail["msg"].removeprefix("Value error, ")
    given = shortened(repr(detail["input"]), LONGEST_TOLD)
    value = "" if isinstance(detail["input"], dict) else f" (got {given})"
    return f"{field}: {shortened(message, LONGEST_TOLD)}{value}"
