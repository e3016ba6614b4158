"""The bases of all models: of a spec that a person writes, and of the files that a run leaves."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """Values that cannot be changed, without unknown keys and without NaN or infinite numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Record(Frozen):
    """The same for a file that a run writes; its numbers are as computed, NaN and infinity included."""

    model_config = ConfigDict(allow_inf_nan=True)
