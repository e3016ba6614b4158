"""What is kept of one key's nights: a record each, the accepted night, and who the hook was told of."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
from pydantic import BaseModel

from distributed.storage.store import RunStore
from schemas.errors import DamagedError
from schemas.run.nights import Accepted, NightEvidence, NightRecord, Told
from schemas.run.shard import Footer
from schemas.spec.locations import is_remote

NIGHTS_PREFIX = "nights"
ACCEPTED_FILE = "accepted.json"
TOLD_FILE = "told.json"
REPORT_FILE = "nightly.json"
"""Of the whole fleet, beside the folders of its keys."""

Model = TypeVar("Model", bound=BaseModel)


class NightState:
    """One key's folder or prefix. Reading makes no folder."""

    def __init__(self, location: str) -> None:
        self.location = location

    @cached_property
    def store(self) -> RunStore:
        """Raises StoreError if it cannot be made."""
        return RunStore(self.location)

    def records(self) -> Iterator[NightRecord]:
        """All nights, the latest first. Raises DamagedError for one that cannot be read."""
        for night in self._nights():
            yield self._read(night_path(night), NightRecord)

    def latest(self) -> NightRecord | None:
        """The last night, whatever became of it."""
        return next(self.records(), None)

    def record_of(self, night: date) -> NightRecord | None:
        return self._read(night_path(night), NightRecord) if night in self._nights() else None

    def evidence(self, version: str | None = None) -> NightEvidence | None:
        """That of the last night that did not fail; of `version`, if one is given."""
        nights = (record.evidence for record in self.records() if record.evidence is not None)
        return next((evidence for evidence in nights if version in (None, evidence.version)), None)

    def run_of(self, evidence: NightEvidence) -> RunStore:
        return RunStore(f"{self.location}/{evidence.run}")

    def relative(self, location: str) -> str:
        """As it is kept, so that the state can be moved."""
        return location.removeprefix(f"{self.location}/")

    def write(self, record: NightRecord) -> None:
        self._write(night_path(record.night), record)

    def write_scores(self, night: date, table: pa.Table) -> None:
        """Keep a night's scores. table: `role`, `score`, `p_value`; nobody is named."""
        footer = Footer(table="night_scores", fingerprint={}, stop_id=table.num_rows, rows=table.num_rows)
        self.store.write_table(_scores_path(night), table, footer)

    def read_scores(self, night: date) -> pa.Table:
        """Raises StoreError if they are not there, DamagedError if they fail their checksums."""
        return self.store.read_table(_scores_path(night))

    def accepted(self) -> Accepted | None:
        return self._read(ACCEPTED_FILE, Accepted) if self._has(ACCEPTED_FILE) else None

    def accept(self, accepted: Accepted) -> None:
        self._write(ACCEPTED_FILE, accepted)

    def notified(self) -> set[str]:
        return set(self._read(TOLD_FILE, Told).identities) if self._has(TOLD_FILE) else set()

    def tell(self, identities: set[str]) -> None:
        """Keep that the hook was told of just these."""
        if identities != self.notified():
            self._write(TOLD_FILE, Told(identities=sorted(identities)))

    def _has(self, path: str) -> bool:
        return self._is_there() and self.store.exists(path)

    def _is_there(self) -> bool:
        return is_remote(self.location) or Path(self.location).is_dir()

    def _nights(self) -> list[date]:
        """The latest first."""
        paths = self.store.sizes(NIGHTS_PREFIX) if self._is_there() else {}
        return sorted((self._night_of(path) for path in paths if path.endswith(".json")), reverse=True)

    def _night_of(self, path: str) -> date:
        try:
            return date.fromisoformat(Path(path).stem)
        except ValueError as error:
            raise DamagedError(f"{self.location}/{path} is not named by a date: take it away") from error

    def _read(self, path: str, model: type[Model]) -> Model:
        return self.store.read_model(model, path, "is damaged: restore it from a copy")

    def _write(self, path: str, value: BaseModel) -> None:
        self.store.write(path, (value.model_dump_json(indent=2) + "\n").encode())


def night_path(night: date) -> str:
    return f"{NIGHTS_PREFIX}/{night.isoformat()}.json"


def _scores_path(night: date) -> str:
    return f"{NIGHTS_PREFIX}/{night.isoformat()}.parquet"
