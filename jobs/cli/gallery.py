"""Say what a gallery is like: refused photos, what recognisers were measured at, who may be in it twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from jobs.cli.display import Shown, short
from schemas.printable import printable
from schemas.run.overlap import MatchesResult, OddPhotosResult, OverlapResult
from schemas.run.results import AuditResults, RecognizerResult
from schemas.run.tables import Outcome, Role
from schemas.wording import people, plain, share

Warned = tuple[str, Sequence[str]]
"""A sentence that names nobody, and whom it is about, a line each."""
LINES_SHOWN = 5
"""Of each kind, on a terminal. All are in `results.json` and in the report."""
LEAST_NOTICEABLE = 0.5
"""With a smaller chance to notice a person who is there twice, nothing was found says little."""


def overlap_warnings(overlap: OverlapResult | None) -> list[str]:
    """Sentences that name nobody, the one about people who are left out first; none if there is nothing."""
    return [] if overlap is None else [sentence for sentence, _ in warned(overlap)]


def overlap_lines(overlap: OverlapResult | None, *, named: bool, shown: Shown = short) -> list[str]:
    """The same as lines for a terminal; `named`: below each, whom it means."""
    lines = []
    for sentence, details in [] if overlap is None else warned(overlap, shown):
        lines.append(plain(f"warning: {sentence}"))
        if named:
            lines += [f"  {detail}" for detail in details[:LINES_SHOWN]]
            if len(details) > LINES_SHOWN:
                lines.append(f"  and {len(details) - LINES_SHOWN:,} more")
    return lines


def warned(overlap: OverlapResult, shown: Shown = short) -> Iterator[Warned]:
    """Every warning, and whom it is about."""
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
                f"{shown(repeated_photo.identity)}: {', '.join(map(shown, repeated_photo.photos))}"
                for repeated_photo in overlap.repeated_photos
            ],
        )
    if overlap.odd_photos is not None:
        yield from _odd_warnings(overlap.odd_photos, overlap.recognizer, shown)
    yield from _limits(overlap.matches, overlap.recognizer)


def _match_warnings(overlap: OverlapResult, shown: Shown) -> Iterator[Warned]:
    across_sides = [match for match in overlap.matches.found if Role.COHORT in match.roles]
    among_candidates = [match for match in overlap.matches.found if Role.COHORT not in match.roles]
    if across_sides:
        yield (
            f"{people(len(overlap.left_out))} of the cohort {_are(len(overlap.left_out))} left out of the "
            "audit: their photos match those of a candidate, or of another one of the cohort, as photos of "
            "one person do",
            [
                f"{match.roles[0]} {shown(match.people[0])} and "
                f"{match.roles[1]} {shown(match.people[1])}, similarity {match.similarity:.3f}; "
                f"left out: {', '.join(map(shown, match.left_out))}"
                for match in across_sides
            ],
        )
    if among_candidates:
        yield (
            f"photos of {_count(len(among_candidates), 'pair')} of candidates match as those of one person "
            "do: each pair may be one person under two names, between which the evidence is split",
            [
                f"{shown(match.people[0])} and {shown(match.people[1])}, similarity {match.similarity:.3f}"
                for match in among_candidates
            ],
        )


def _odd_warnings(odd: OddPhotosResult, recognizer: str, shown: Shown) -> Iterator[Warned]:
    if odd.photos:
        owners = len({photo.identity for photo in odd.photos})
        yield (
            f"{_count(len(odd.photos), 'photo')} of {people(owners)} {_are(len(odd.photos))} no more like "
            "the person's other photos than a stranger's may be: somebody else may be on them",
            [
                f"{shown(photo.identity)}: photo {shown(photo.photo)}, similarity {photo.similarity:.3f}"
                for photo in odd.photos
            ],
        )
    elif odd.share > 0:
        yield (
            f"{share(odd.share)} of the gallery's photos are no more like the person's other photos than a "
            f"stranger's may be: {recognizer} does not tell these people apart",
            [],
        )


def _limits(matches: MatchesResult, recognizer: str) -> Iterator[Warned]:
    if matches.unchecked is not None:
        yield (
            f"whether one person is in the gallery twice was not checked by templates: {matches.unchecked}",
            [],
        )
    elif matches.noticeable is None:
        if matches.found:
            yield (
                "too few people have two photos to say how alike photos of one person are: the people who "
                "match may be relatives",
                [],
            )
    elif matches.noticeable < LEAST_NOTICEABLE:
        yield (
            f"of people who are in the gallery twice only about {share(matches.noticeable)} would be "
            f"noticed: {recognizer} does not tell these people apart",
            [],
        )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _have(number: int) -> str:
    return f"{people(number)} {'has' if number == 1 else 'have'}"


def refused_lines(table: pa.Table, reasons: Mapping[tuple[str, str], str] | None = None) -> list[str]:
    """`refused (outcome): role identity/photo`, for each photo that gave no template; then why, if that is
    among `reasons`, by identity and photo."""
    columns = ["outcome", "role", "identity", "photo"]
    refused = table.filter(pc.not_equal(table["outcome"], Outcome.OK)).select(columns).to_pylist()
    return [printable(_refused_line(row, reasons or {})) for row in refused]


def _refused_line(row: Mapping[str, Any], reasons: Mapping[tuple[str, str], str]) -> str:
    why = reasons.get((row["identity"], row["photo"]))
    line = f"refused ({row['outcome']}): {row['role']} {row['identity']}/{row['photo']}"
    return line if why is None else f"{line}: {why}"


def gallery_lines(results: AuditResults) -> list[str]:
    """Warnings first, then what each recogniser was measured at."""
    figures = [
        f"recogniser {recognizer.name}: {separation_figures(recognizer)}"
        for recognizer in results.recognizers
    ]
    return [*(f"warning: {gallery_warning}" for gallery_warning in results.gallery_warnings), *figures]


def separation_figures(recognizer: RecognizerResult) -> str:
    """TAR and mean cosine, in words."""
    if recognizer.separation is None:
        return "not measured on the gallery's people, by an earlier version"
    # Adding zero takes the sign from a negative one.
    alike = f"mean cosine of different people {round(recognizer.separation.non_mated_mean, 2) + 0.0:.2f}"
    if recognizer.separation.mated is None:
        return f"{alike}; no TAR, as fewer than two people have two photos that differ"
    rate = recognizer.separation.mated
    return f"TAR {rate.tar.value:.2f} at FMR {rate.fmr:g} over {rate.people:,} people of the gallery; {alike}"
