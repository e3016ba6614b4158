"""How far a stage of a run is, for observers."""

from __future__ import annotations

from schemas.frozen import Record


class StageProgress(Record):
    """What the process that works on a run last wrote of it.

    started, updated: seconds since 1970. there: images that were there when it began. todo: images to make
    from then on, done: those made, with outcomes and seconds of the workers, by stage of an image. workers:
    those that were up; tried_again: attempts that failed; set_aside: shards that failed after all
    attempts.
    """

    stage: str
    started: float
    updated: float
    there: int
    todo: int
    done: int
    outcomes: dict[str, int]
    seconds: dict[str, float]
    workers: int = 0
    tried_again: int = 0
    set_aside: int = 0

    @property
    def rate(self) -> float | None:
        """Images per second; None until there are some."""
        spent = self.updated - self.started
        return self.done / spent if self.done and spent > 0 else None
