"""Planted samples of each group of candidates, at the likeness that the generator's samples show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from distributed.membership.frame import Floats, Frame
from distributed.membership.planted.likeness import Likeness, likeness_of
from distributed.membership.planted.people import HeldOut, Planted, held_out, planted
from distributed.reduce.centring import centred
from distributed.reduce.margins import Twins
from distributed.reduce.partial import EDGES, Partial
from distributed.reduce.queries import ComparedPeople
from distributed.reduce.reducer import SampleTemplates
from schemas.spec.membership import MembershipSpec

Plantings = tuple[Sequence[Planted], Likeness]
"""What is planted in each group of the frame."""


@dataclass(frozen=True)
class Planting:
    """What one recogniser is planted with. partials: of each level. flagged: bool (m,), by the headline.
    done: is told of each step."""

    frame: Frame
    recognizer: str
    people: ComparedPeople
    twins: Twins
    partials: Sequence[Partial]
    samples: SampleTemplates
    flagged: NDArray[np.bool_]
    done: Callable[[str], None]

    def groups(self, membership: MembershipSpec) -> Plantings:
        """The planted samples of each group of the frame, and their likeness, which all groups share."""
        samples = centred(self.samples.templates, self.people.centre)
        kept = [
            held_out(self.frame, self.recognizer, group, self.people.centre) for group in self.frame.groups
        ]
        likeness = self._likeness(kept, samples, membership)
        self.done("likeness")
        groups = []
        for index, of_group in enumerate(kept):
            groups.append(self._plant(index, of_group, samples, likeness.value))
            self.done("planted")
        return groups, likeness

    def _plant(self, index: int, kept: HeldOut, samples: NDArray[np.float32], likeness: float) -> Planted:
        level = self.frame.level_of(self.frame.groups[index])
        return planted(kept, self.people.levels[level], self.twins, samples, likeness)

    def _likeness(
        self, kept: Sequence[HeldOut], samples: NDArray[np.float32], membership: MembershipSpec
    ) -> Likeness:
        """By the group with most of the flagged."""
        index = int(np.bincount(self.frame.group_of, weights=self.flagged).argmax())
        group = self.frame.groups[index]
        counts = self.partials[self.frame.level_of(group)].margin_hits
        people = self.frame.candidates[self.flagged & (self.frame.group_of == index)]

        def leads(likeness: float) -> Floats:
            return self._plant(index, kept[index], samples, likeness).lead

        wanted = None if membership.likeness == "auto" else membership.likeness
        expected = counts[:, group.cohort].mean(axis=1)
        return likeness_of(wanted, counts[:, people], expected, leads, np.array(EDGES))
