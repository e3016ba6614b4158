"""How names and numbers are shown to a reader."""

from __future__ import annotations

import re
from collections.abc import Callable
from math import floor

from schemas.printable import printable
from schemas.run.checks import DriftResult, PlaceboResult, RoleTestResult
from schemas.run.results import Interval, OverRepresentedResult, PopulationResult
from schemas.wording import PERCENT, people, probability, share

Shown = Callable[[str], str]
"""An identity, or a photo, as stored -> as shown."""

PSEUDONYM = re.compile(r"[0-9a-f]{32}")
PSEUDONYM_SHOWN = 12
LEAST_EXPLAINED = 0.01
MOST_NAMED = 3


def as_stored(identity: str) -> str:
    return identity


def displayed(shown: Shown) -> Shown:
    """`shown`, made fit for a page."""
    return lambda identity: short(shown(identity))


def short(name: str) -> str:
    """A name with what cannot be seen written out; the beginning of a pseudonym."""
    return printable(name[:PSEUDONYM_SHOWN] if PSEUDONYM.fullmatch(name) else name)


def with_names(text: str, shown: Shown) -> str:
    """The text with each pseudonym in it as `shown` shows it."""
    return re.sub(r"\b[0-9a-f]{32}\b", lambda match: shown(match[0]), text)


def sentence(text: str) -> str:
    """A reason, as a sentence for a page."""
    return f"{printable(text[:1].upper() + text[1:])}."


def between(interval: Interval, show: Callable[[float], str]) -> str:
    """`value (low to high)`."""
    return f"{show(interval.value)} ({show(interval.low)} to {show(interval.high)})"


def effective_number(value: float) -> str:
    """A number that need not be whole."""
    return f"{value:.2g}" if value < 10 else f"{value:,.0f}"


def drift_text(drift: DriftResult) -> str:
    """That candidates and cohort differ in a property."""
    return (
        f"candidates and cohort differ in {drift.property} ({drift.candidates:.3g} against "
        f"{drift.cohort:.3g}, p {drift.p_value:.2g}); p-values hold for people photographed alike: match the "
        "cohort, or use strata"
    )


def roles_text(test: RoleTestResult) -> str:
    """That candidates and cohort are not exchangeable."""
    return (
        "candidates and cohort are told apart by their templates alone, by a linear classifier (AUC "
        f"{test.auc:.2f} where 0.50 is chance, p {test.p_value:.2g}): they are not exchangeable people, and "
        f"the p-values and error rates hold only if they are{_separated(test)}; match the cohort, or use "
        "membership.strata or membership.adjust"
    )


def _separated(test: RoleTestResult) -> str:
    """What separates the sides, of what is known of people."""
    known = [(name, part) for name, part in test.separators.items() if part >= LEAST_EXPLAINED]
    if not known:
        return ""
    names = ", ".join(f"{printable(name)} ({share(part)})" for name, part in known[:MOST_NAMED])
    return f"; of what the classifier sees, these explain so much: {names}"


def placebo_text(placebo: PlaceboResult) -> str:
    """How the placebo audit went. Names nobody."""
    flags = len(placebo.flagged)
    text = (
        f"the same audit of {placebo.samples:,} samples of a generator that was trained on none of these "
        f"people flags {people(flags) if flags else 'nobody'}; the p-value of all candidates together is "
        f"{probability(placebo.set_p_value)}"
    )
    if not placebo.warns:
        return text
    return (
        f"the placebo audit fails: {text}; so something else than training data may set candidates apart "
        "from the cohort, in this audit too, or one of them did train that generator; by chance at most one "
        "in ten sound audits fails"
    )


def against_others(person: OverRepresentedResult) -> str:
    """How many times as often as whom somebody is hit."""
    assert person.least_times is not None and person.others is not None, "known since version 0.2"
    whom = (
        "flagged or with more hits than any non-member"
        if person.among_flagged
        else "among the candidates, as nobody else is flagged"
    )
    times = floor(10 * person.least_times) / 10
    return (
        f"with 95{PERCENT} confidence at least {times:,.1f} times as often as the median of "
        f"{person.others:,} other{'s' if person.others > 1 else ''} {whom}"
    )


def people_made(population: PopulationResult) -> str:
    """How many people a generator makes, with an interval where matches tell people apart."""
    number = (
        "more than can be counted"
        if population.estimate is None
        else f"about {effective_number(population.estimate)}"
    )
    text = (
        f"the generator makes {number} of what {population.recognizer} takes for different people, counted "
        "as if each were made equally often"
    )
    if population.low is not None:
        high = "no upper bound" if population.high is None else effective_number(population.high)
        low = effective_number(population.low)
        return f"{text} (95{PERCENT}: {low} to {high}, if samples match as photos do)"
    assert population.closure is not None and population.least_closure is not None, (
        "else there is an interval"
    )
    return (
        f"{text}; no interval is given, as matches do not tell people apart: of two samples that match a "
        f"third, {share(population.closure)} match each other, where of people at least "
        f"{share(population.least_closure)} would"
    )
