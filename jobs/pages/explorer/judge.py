"""One reviewer and the pairs put before them: what is to be judged next, and what was said."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from distributed.storage.store import RunStore
from jobs.pages.explorer.pairs import draw_pairs
from jobs.pages.explorer.tables import Explorer
from jobs.pages.judgements import judgements_of, keep_judgement
from schemas.errors import QuestionError, UsageError
from schemas.judgements import Decision, JudgedPair


@dataclass(frozen=True)
class PairShown:
    """All that a reviewer may know of a pair: no name, side, score or verdict. photos: how many are shown."""

    number: int
    pairs: int
    judged: int
    photos: int
    decision: Decision | None

    @property
    def next_pair(self) -> int | None:
        return self.number + 1 if self.number < self.pairs else None

    @property
    def previous_pair(self) -> int | None:
        return self.number - 1 if self.number > 1 else None


class Judge:
    """May be asked by several threads."""

    def __init__(self, store: RunStore, explorer: Explorer, reviewer: str, pairs: int) -> None:
        """Raises UsageError if nobody in the run has both photos and samples, or no sample can be shown."""
        if explorer.results.spec["generator"]["kind"] == "templates":
            raise UsageError(
                f"{store.location}: its samples were given as templates and cannot be shown: there is "
                "nothing to judge"
            )
        self._store, self._explorer, self.reviewer = store, explorer, reviewer
        self._pairs: Sequence[JudgedPair] = draw_pairs(explorer, pairs)
        self._writing = threading.Lock()
        if not self._pairs:
            raise UsageError(
                f"{store.location}: there is nothing to judge: no person was compared with a sample"
            )

    def shown(self, number: int | None, *, photos_at_most: int) -> PairShown:
        """A pair; None is the first one without a decision, else the last. Raises QuestionError."""
        decisions = self._decisions()
        if number is None:
            open_pairs = (pair.number for pair in self._pairs if pair.number not in decisions)
            number = next(open_pairs, len(self._pairs))
        photos = len(self._explorer.photos(self.pair(number).identity))
        return PairShown(
            number, len(self._pairs), len(decisions), min(photos, photos_at_most), decisions.get(number)
        )

    def pair(self, number: int) -> JudgedPair:
        """Raises QuestionError."""
        if not 1 <= number <= len(self._pairs):
            raise QuestionError(f"pair: there are {len(self._pairs)}")
        return self._pairs[number - 1]

    def photo_of(self, number: int, photo: int) -> tuple[str, str] | None:
        """Identity and photo of a pair's person, as tables name them; None if there are fewer.

        Raises QuestionError.
        """
        identity = self.pair(number).identity
        photos = self._explorer.photos(identity)
        return (identity, photos[photo]) if photo < len(photos) else None

    def keep(self, number: int, decision: Decision) -> None:
        """Raises QuestionError, or StoreError if nothing can be written."""
        pair = self.pair(number)
        with self._writing:
            keep_judgement(self._store, self.reviewer, pair, decision)

    def _decisions(self) -> dict[int, Decision]:
        """By the number of the pair; of pairs that an earlier draw gave, those that are the same now."""
        drawn = {pair.number: pair for pair in self._pairs}
        judgements = judgements_of(self._store, self.reviewer).judgements
        return {
            each.pair.number: each.decision for each in judgements if drawn.get(each.pair.number) == each.pair
        }
