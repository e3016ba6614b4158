"""How well the samples of one generator tell its members: idleak's own search and score, and a plain AUC."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from drawn_people import COMPARED, OTHERS, DrawnPeople, Shots, Templates, other_photos, trained_photos
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from world import OVER_REPRESENTED

from distributed.membership.scores import Evidence, person_scores
from distributed.reduce.centring import centred, fused, shrunk_mean, template_sum
from distributed.reduce.partial import Partial
from distributed.reduce.search import PeopleSearch

TOPK, SCORE = 16, "margin"


@dataclass(frozen=True)
class Success:
    """auc_other, auc_trained: of members against non-members, by photos that the generator was not trained on
    and by those that it was. hits, others_hits: the share of samples that fit the over-represented person
    better than anybody else by 0.05, and the mean of it over the other members. p_value: that person's,
    conformal, against the non-members."""

    auc_other: float
    auc_trained: float
    hits: float
    others_hits: float
    p_value: float


def success(people: DrawnPeople, members: Sequence[int], samples: Templates) -> Success:
    """Of a generator of these members, by the templates (N, d) of its samples."""
    seeds = [*members, *OTHERS]
    member = np.arange(len(seeds)) < len(members)
    other = compared(people, other_photos(seeds), samples)
    trained = compared(people, trained_photos(seeds), samples)
    scores, hits = margin_scores(other), other.margin_hits[0] / len(samples)
    over_represented = members.index(OVER_REPRESENTED)
    above = int((scores[~member] >= scores[over_represented]).sum())
    return Success(
        float(roc_auc_score(member, scores)),
        float(roc_auc_score(member, margin_scores(trained))),
        float(hits[over_represented]),
        float(np.delete(hits[member], over_represented).mean()),
        (1 + above) / (1 + len(OTHERS)),
    )


def compared(people: DrawnPeople, shots: Shots, samples: Templates) -> Partial:
    """All samples against everybody, each of whom is the mean of COMPARED photos."""
    count = len(shots) // COMPARED
    centre = shrunk_mean([template_sum(samples)])
    identity = np.repeat(np.arange(count), COMPARED)
    rank = np.tile(np.arange(COMPARED), count)
    search = PeopleSearch(fused(people.of(shots), identity, rank, COMPARED, centre), k=TOPK)
    search.add(centred(samples, centre), np.arange(len(samples)))
    return search.result()


def margin_scores(partial: Partial) -> NDArray[np.float64]:
    return person_scores(Evidence(partial, TOPK, 0), [SCORE])[SCORE]
