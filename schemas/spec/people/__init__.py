"""What the spec's `gallery.candidates` and `gallery.cohort` may be: kinds of sources of people."""

from __future__ import annotations

from typing import Annotated, Any, get_args

from pydantic import Discriminator, Tag

from schemas.spec.people.base import PeopleSource, PhotoSource
from schemas.spec.people.folders import FlatPeople, FoldersPeople
from schemas.spec.people.image_list import ListPeople
from schemas.spec.people.packed import LmdbPeople, ParquetPeople, RecordioPeople, WebdatasetPeople
from schemas.spec.people.short_form import SHORT_FORM, PeopleSpec
from schemas.spec.people.templates import TemplatesPeople


def _kind(given: Any) -> str:
    kind = given.get("kind") if isinstance(given, dict) else getattr(given, "kind", None)
    return SHORT_FORM if kind is None else str(kind)


KINDS: tuple[type[PhotoSource], ...] = (
    FoldersPeople,
    ListPeople,
    FlatPeople,
    RecordioPeople,
    WebdatasetPeople,
    ParquetPeople,
    LmdbPeople,
    TemplatesPeople,
)
"""In the order of docs/people.md."""
NAMES: tuple[str, ...] = tuple(get_args(kind.model_fields["kind"].annotation)[0] for kind in KINDS)
PeopleSourceSpec = Annotated[
    Annotated[PeopleSpec, Tag(SHORT_FORM)]
    | Annotated[FoldersPeople, Tag("folders")]
    | Annotated[ListPeople, Tag("list")]
    | Annotated[FlatPeople, Tag("flat")]
    | Annotated[RecordioPeople, Tag("recordio")]
    | Annotated[WebdatasetPeople, Tag("webdataset")]
    | Annotated[ParquetPeople, Tag("parquet")]
    | Annotated[LmdbPeople, Tag("lmdb")]
    | Annotated[TemplatesPeople, Tag("templates")],
    Discriminator(
        _kind,
        custom_error_type="unknown_kind",
        custom_error_message=f"kind must be one of {', '.join(NAMES)}: docs/people.md",
    ),
]

__all__ = ["KINDS", "PeopleSource", "PeopleSourceSpec", "PeopleSpec", "PhotoSource"]
