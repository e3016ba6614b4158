"""Every file, folder and bucket that a spec names is made absolute, whatever part of it names it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from schemas.spec.audit import AuditSpec
from schemas.spec.gallery import GallerySpec, PeopleSpec
from schemas.spec.generators import KINDS
from schemas.spec.generators.stylegan import StyleganGenerator
from schemas.spec.locations import absolute, locations_of
from schemas.spec.people import KINDS as KINDS_OF_PEOPLE
from schemas.spec.protection import ProtectionSpec

NAMES_OF_FILES = {
    "attributes",
    "ca",
    "code",
    "images",
    "kms",
    "labels",
    "ledger",
    "output",
    "parquet",
    "path",
    "reference",
    "weights",
}
"""What a spec's keys are called where they name a file, a folder or a bucket."""


def models_in(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """The model and all that it is made of, each once."""
    seen: set[type[BaseModel]] = set()
    todo: list[object] = [model, *KINDS, *KINDS_OF_PEOPLE]
    while todo:
        part = todo.pop()
        if isinstance(part, type) and issubclass(part, BaseModel):
            if part not in seen:
                seen.add(part)
                yield part
                todo += [field.annotation for field in part.model_fields.values()]
        else:
            todo += get_args(part)


def texts_of(annotation: object) -> Iterator[object]:
    """What a union, or an annotated type, is made of."""
    for part in get_args(annotation):
        yield part
        yield from texts_of(part)


def test_no_key_that_names_a_file_is_of_another_type() -> None:
    known = {
        (model, name): field
        for model in models_in(AuditSpec)
        for name, field in model.model_fields.items()
        if name in NAMES_OF_FILES and str in (field.annotation, *texts_of(field.annotation))
    }
    assert len(known) > 15
    for (model, name), field in known.items():
        given: dict[str, Any] = dict.fromkeys(model.model_fields)
        value = model.model_construct(None, **(given | {name: "a/relative/name"}))
        assert locations_of(value) == ["a/relative/name"], f"{model.__name__}.{name} is {field.annotation}"


def test_relative_ones_are_taken_from_the_specs_folder_and_addresses_stay(tmp_path: Path) -> None:
    gallery = GallerySpec(
        candidates=PeopleSpec(images="people"), cohort=PeopleSpec(parquet="/far/gallery.parquet")
    )
    placed = absolute(gallery, tmp_path)
    assert locations_of(placed) == [f"{tmp_path}/people", "/far/gallery.parquet"]
    assert locations_of(gallery) == ["people", "/far/gallery.parquet"]
    for name in ("s3://bucket/labels.csv", "insightface:buffalo_l"):
        assert absolute(gallery.model_copy(update={"labels": name}), tmp_path).labels == name


@pytest.mark.parametrize(
    ("key", "wanted"), [("{file:keys/one}", "{{file:{}/keys/one}}"), ("{env:NAME}", "{{env:NAME}}")]
)
def test_a_secret_in_a_file_is_found_from_anywhere(key: str, wanted: str, tmp_path: Path) -> None:
    placed = absolute(ProtectionSpec(key=key, kms="bin/kms"), tmp_path)
    assert placed.key == wanted.format(tmp_path)
    assert placed.kms == f"{tmp_path}/bin/kms"


def test_all_that_code_may_read_is_named() -> None:
    spec = StyleganGenerator(kind="stylegan", path="network.pkl", code="checkout")
    assert locations_of(spec) == ["network.pkl", "checkout"]
