"""Say who may be in a gallery twice: on a terminal, and in a report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from jobs.cli.display import Shown, people, share, short
from jobs.pages.page import Section, Table
from schemas.run.overlap import MatchesResult, OddPhotosResult, OverlapResult
from schemas.run.tables import Role

Warned = tuple[str, Sequence[str]]
"""A sentence that names nobody, and whom it is about, a line each."""
LINES_SHOWN = 5
"""Of each kind, on a terminal. All are in `results.json` and in the report."""
LEAST_NOTICEABLE = 0.5
"""With a smaller chance to notice a person who is there twice, nothing was found says little."""


def overlap_warnings(overlap: OverlapResult | None) -> list[str]:
    """Sentences that name nobody, the one about people who are left out first; none if there is nothing."""
    return [] if overlap is None else [sentence for sentence, _ in _warnings(overlap)]


def overlap_lines(overlap: OverlapResult | None, *, named: bool, shown: Shown = short) -> list[str]:
    """The same as lines for a terminal; `named`: below each, whom it means."""
    lines = []
    for sentence, details in [] if overlap is None else _warnings(overlap, shown):
        lines.append(f"warning: {sentence}")
        if named:
            lines += [f"  {detail}" for detail in details[:LINES_SHOWN]]
            if len(details) > LINES_SHOWN:
                lines.append(f"  and {len(details) - LINES_SHOWN:,} more")
    return lines


def overlap_section(overlap: OverlapResult, shown: Shown) -> Section:
    """What the gallery's people were compared by, and all that was found."""
    tables = [
        Table(("whom it means",), [[detail] for detail in details], sentence)
        for sentence, details in _warnings(overlap, shown)
        if details
    ]
    return Section(
        "Is one person in the gallery twice?", [_how(overlap), *overlap_warnings(overlap)], tables=tables
    )


def _how(overlap: OverlapResult) -> str:
    found = overlap.matches
    if found.threshold is None:
        return "Files and names of photos were compared; templates of people could not be."
    noticed = (
        "too few people have two photos to say how often a person who is there twice is noticed"
        if found.noticeable is None
        else f"of people who are there twice with as many photos, about {share(found.noticeable)} are noticed"
    )
    return (
        f"Each of {people(found.people)} was compared with all others, {found.pairs:,} pairs, by mean "
        f"templates of {overlap.recognizer}. By chance, {found.chance_pairs:g} pairs are expected to have a "
        f"similarity of {found.threshold:.3f} or more; {noticed}."
    )


def _warnings(overlap: OverlapResult, shown: Shown = short) -> Iterator[Warned]:
    yield from _match_warnings(overlap, shown)
    if overlap.alike_names:
        yield (
            f"{_count(len(overlap.alike_names), 'pair')} of people have names that differ in case, spaces or "
            "forms of Unicode alone: each may be one person in two folders",
            [f"{shown(first)} and {shown(other)}" for first, other in overlap.alike_names],
        )
    if overlap.repeated_photos:
        yield (
            f"{_have(len(overlap.repeated_photos))} the same photo more than once: it adds nothing, and "
            "counts as if it did",
            [
                f"{shown(one.identity)}: {', '.join(map(shown, one.photos))}"
                for one in overlap.repeated_photos
            ],
        )
    if overlap.odd_photos is not None:
        yield from _odd_warnings(overlap.odd_photos, overlap.recognizer, shown)
    yield from _limits(overlap.matches, overlap.recognizer)


def _match_warnings(overlap: OverlapResult, shown: Shown) -> Iterator[Warned]:
    two_sides = [one for one in overlap.matches.found if Role.COHORT in one.roles]
    candidates = [one for one in overlap.matches.found if Role.COHORT not in one.roles]
    if two_sides:
        yield (
            f"{people(len(overlap.left_out))} of the cohort {_are(len(overlap.left_out))} left out of the "
            "audit: their photos match those of a candidate, or of another one of the cohort, as photos of "
            "one person do",
            [
                f"{one.roles[0]} {shown(one.people[0])} and {one.roles[1]} {shown(one.people[1])}, "
                f"similarity {one.similarity:.3f}; left out: {', '.join(map(shown, one.left_out))}"
                for one in two_sides
            ],
        )
    if candidates:
        yield (
            f"photos of {_count(len(candidates), 'pair')} of candidates match as those of one person do: "
            "each pair may be one person under two names, between which the evidence is split",
            [
                f"{shown(one.people[0])} and {shown(one.people[1])}, similarity {one.similarity:.3f}"
                for one in candidates
            ],
        )


def _odd_warnings(odd: OddPhotosResult, recognizer: str, shown: Shown) -> Iterator[Warned]:
    if odd.photos:
        owners = len({one.identity for one in odd.photos})
        yield (
            f"{_count(len(odd.photos), 'photo')} of {people(owners)} {_are(len(odd.photos))} no more like "
            "the person's other photos than a stranger's may be: somebody else may be on them",
            [
                f"{shown(one.identity)}: photo {shown(one.photo)}, similarity {one.similarity:.3f}"
                for one in odd.photos
            ],
        )
    elif odd.share > 0:
        yield (
            f"{share(odd.share)} of the gallery's photos are no more like the person's other photos than a "
            f"stranger's may be: {recognizer} does not tell these people apart",
            [],
        )


def _limits(found: MatchesResult, recognizer: str) -> Iterator[Warned]:
    if found.unchecked is not None:
        yield (
            f"whether one person is in the gallery twice was not checked by templates: {found.unchecked}",
            [],
        )
    elif found.noticeable is None:
        if found.found:
            yield (
                "too few people have two photos to say how alike photos of one person are: the people who "
                "match may be relatives",
                [],
            )
    elif found.noticeable < LEAST_NOTICEABLE:
        yield (
            f"of people who are in the gallery twice only about {share(found.noticeable)} would be noticed: "
            f"{recognizer} does not tell these people apart",
            [],
        )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _have(number: int) -> str:
    return f"{people(number)} {'has' if number == 1 else 'have'}"
