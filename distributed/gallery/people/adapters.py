"""Which adapter serves which `kind` of a side of the gallery."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import cast

from distributed.gallery.people.folders import list_folders
from distributed.gallery.people.listing import Listing, PeopleAdapter, limited
from schemas.spec.people import PeopleSource, PeopleSpec, PhotoSource

# Imported when first used.
MODULES = {
    "folders": "distributed.gallery.people.folders",
    "list": "distributed.gallery.people.image_list",
    "flat": "distributed.gallery.people.flat",
    "recordio": "distributed.gallery.people.recordio",
    "webdataset": "distributed.gallery.people.webdataset",
    "parquet": "distributed.gallery.people.parquet",
    "lmdb": "distributed.gallery.people.lmdb",
    "templates": "distributed.gallery.people.templates",
}


def list_source(source: PeopleSource) -> Listing:
    """The photos of one side; none of a `gallery.parquet`. Raises SpecError."""
    if isinstance(source, PeopleSpec):
        return Listing([]) if source.images is None else list_folders(Path(source.images))
    assert isinstance(source, PhotoSource), "all that is no short form is a kind"
    adapter = cast(PeopleAdapter, import_module(MODULES[source.kind]))
    return limited(adapter.list_people(source), source)
