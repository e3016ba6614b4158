"""What findings and reports say of how well the recognisers tell the gallery's people apart."""

from __future__ import annotations

from schemas.run.results import AuditResults, RecognizerResult


def gallery_lines(results: AuditResults) -> list[str]:
    """Warnings first, then what each recogniser was measured at."""
    figures = [f"recogniser {one.name}: {separation_figures(one)}" for one in results.recognizers]
    return [*(f"warning: {one}" for one in results.gallery_warnings), *figures]


def separation_figures(one: RecognizerResult) -> str:
    """TAR and mean cosine, in words."""
    if one.separation is None:
        return "not measured on the gallery's people, by an earlier version"
    # Adding zero takes the sign from a negative one.
    alike = f"mean cosine of different people {round(one.separation.non_mated_mean, 2) + 0.0:.2f}"
    if one.separation.mated is None:
        return f"{alike}; no TAR, as fewer than two people have two photos that differ"
    rate = one.separation.mated
    return f"TAR {rate.tar.value:.2f} at FMR {rate.fmr:g} over {rate.people:,} people of the gallery; {alike}"


def gallery_sentence(warning: str) -> str:
    """A warning as a sentence of the report's first screen."""
    return f"{warning[:1].upper()}{warning[1:]}."
