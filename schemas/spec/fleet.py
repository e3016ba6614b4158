"""The fleet: the audits that are repeated every night, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from pydantic import Field, JsonValue, NonNegativeInt, PositiveInt, model_validator

from schemas.errors import SpecError
from schemas.frozen import Frozen
from schemas.spec.audit import AuditSpec
from schemas.spec.faces import NAME_PATTERN
from schemas.spec.load import parse_spec, read_keys, validated
from schemas.spec.locations import Location, absolute

KEY_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"


class FleetAudit(Frozen):
    """One generator × gallery, and how its evidence grows."""

    key: str = Field(pattern=KEY_PATTERN, description="its name, and its folder below `state`; never reused")
    spec: str | None = Field(None, description="the audit's spec; null: `overrides` hold a whole one")
    overrides: dict[str, JsonValue] = Field(
        default_factory=dict, description="keys of the spec that are other here, at any depth"
    )
    version: str = Field("", description="change it to start over where no fingerprint tells: an API's model")
    samples: PositiveInt | None = Field(None, description="of a version's first night; null: the spec's")
    per_night: NonNegativeInt = Field(0, description="fresh samples on every later night")
    maximum: PositiveInt | None = Field(None, description="samples of a version at most")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.spec is None and not self.overrides:
            raise ValueError("give spec, the path of an audit's YAML file, or a whole spec as overrides")
        if self.per_night and self.maximum is None:
            raise ValueError("per_night needs a maximum: an audit must not grow for ever")
        return self


class FleetSpec(Frozen):
    """What a person writes."""

    name: str = Field(pattern=NAME_PATTERN, description="name of the fleet")
    state: Location = Field(
        min_length=1, description="folder, or s3://, gs:// or az:// prefix, of all results"
    )
    every_days: PositiveInt = Field(1, description="days from one night to the next; later is a missed night")
    hook: tuple[str, ...] = Field(
        (), description="a program and its arguments, run when there are new findings"
    )
    hook_seconds: float = Field(60, gt=0, description="longest time that the hook may take")
    audits: tuple[FleetAudit, ...] = Field(min_length=1, description="the audits")

    @model_validator(mode="after")
    def _different_keys(self) -> Self:
        keys = [audit.key for audit in self.audits]
        if twice := sorted({key for key in keys if keys.count(key) > 1}):
            raise ValueError(f"audits must have different keys, {', '.join(twice)} is there twice")
        return self


@dataclass(frozen=True)
class Entry:
    """One audit of the fleet. spec: as for its first night, its paths absolute; its `output` is not used."""

    key: str
    spec: AuditSpec
    version: str = ""
    per_night: int = 0
    maximum: int | None = None

    def grown(self, samples: int) -> int:
        """How many samples the night after one of `samples` has; never fewer."""
        most = samples if self.maximum is None else self.maximum
        return max(samples, min(samples + self.per_night, most), self.spec.samples)


@dataclass(frozen=True)
class Fleet:
    """A fleet with absolute paths. folder: where its file is, and where the hook runs."""

    name: str
    folder: Path
    state: str
    every_days: int
    hook: tuple[str, ...]
    hook_seconds: float
    entries: tuple[Entry, ...]

    def entry(self, key: str) -> Entry:
        """The entry of a key. Raises SpecError if there is none."""
        for entry in self.entries:
            if entry.key == key:
                return entry
        raise SpecError(f"no audit of the fleet has the key {key!r}; they are {self.keys}")

    def only(self, key: str) -> Fleet:
        """The fleet with this entry alone. Raises SpecError if there is none."""
        return replace(self, entries=(self.entry(key),))

    @property
    def keys(self) -> str:
        return ", ".join(entry.key for entry in self.entries)


def load_fleet(path: Path) -> Fleet:
    """Read a fleet and the specs that it names; paths are relative to the file that they stand in.

    Raises SpecError, one line: a fleet with one bad spec does not start.
    """
    folder = path.resolve().parent
    fleet = absolute(validated(FleetSpec, read_keys(path, "a fleet"), path), folder)
    return Fleet(
        name=fleet.name,
        folder=folder,
        state=fleet.state,
        every_days=fleet.every_days,
        hook=fleet.hook,
        hook_seconds=fleet.hook_seconds,
        entries=tuple(_entry(audit, path, folder) for audit in fleet.audits),
    )


def _entry(fleet_audit: FleetAudit, path: Path, folder: Path) -> Entry:
    source = f"{path}, audit {fleet_audit.key}"
    raw: dict[str, Any] = {}
    if fleet_audit.spec is not None:
        spec_path = folder / fleet_audit.spec
        raw, folder = read_keys(spec_path, "an audit spec"), spec_path.resolve().parent
        source += f", {fleet_audit.spec}"
    raw = merged(raw, fleet_audit.overrides) | {"output": "."}
    if fleet_audit.samples is not None:
        raw["samples"] = fleet_audit.samples
    entry = Entry(
        fleet_audit.key,
        parse_spec(raw, source, folder),
        fleet_audit.version,
        fleet_audit.per_night,
        fleet_audit.maximum,
    )
    _require_whole_shards(entry, source)
    return entry


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of both; maps are merged unless their `kind` differs, of all else the one above counts."""
    both = dict(below)
    for key, value in above.items():
        both[key] = merged(both[key], value) if _mergeable(both.get(key), value) else value
    return both


def _mergeable(below: object, above: object) -> bool:
    if not isinstance(below, Mapping) or not isinstance(above, Mapping):
        return False
    return bool(above.get("kind", below.get("kind")) == below.get("kind"))


def _require_whole_shards(entry: Entry, source: str) -> None:
    """Raise SpecError unless an audit that grows does so by whole shards, and has room to."""
    size, samples, maximum = entry.spec.shard_size, entry.spec.samples, entry.maximum
    if maximum is not None and maximum < samples:
        raise SpecError(f"{source}: maximum, {maximum}, is below samples, {samples}: raise it")
    if entry.per_night and size == "auto":
        raise SpecError(f"{source}: an audit that grows does so by whole shards: give shard_size a number")
    if (
        size != "auto"
        and entry.per_night
        and any(count % size for count in (samples, entry.per_night, maximum or 0))
    ):
        raise SpecError(
            f"{source}: samples, per_night and maximum must be multiples of shard_size, {size}, as a "
            "shard is never made twice"
        )
