"""The report's section on people who may be in the gallery twice."""

from __future__ import annotations

from jobs.cli.display import Shown
from jobs.cli.gallery import overlap_warnings, warned
from jobs.pages.page import Section, Table
from schemas.run.overlap import OverlapResult
from schemas.wording import people, share


def overlap_section(overlap: OverlapResult, shown: Shown) -> Section:
    """What the gallery's people were compared by, and all that was found."""
    tables = [
        Table(("whom it means",), [[detail] for detail in details], sentence)
        for sentence, details in warned(overlap, shown)
        if details
    ]
    return Section(
        "Is one person in the gallery twice?", [_how(overlap), *overlap_warnings(overlap)], tables=tables
    )


def _how(overlap: OverlapResult) -> str:
    matches = overlap.matches
    if matches.threshold is None:
        return "Files and names of photos were compared; templates of people could not be."
    noticed = (
        "too few people have two photos to say how often a person who is there twice is noticed"
        if matches.noticeable is None
        else f"of people who are there twice with as many photos, about {share(matches.noticeable)} are "
        "noticed"
    )
    return (
        f"Each of {people(matches.people)} was compared with all others, {matches.pairs:,} pairs, by mean "
        f"templates of {overlap.recognizer}. By chance, {matches.chance_pairs:g} pairs are expected to have "
        f"a similarity of {matches.threshold:.3f} or more; {noticed}."
    )
