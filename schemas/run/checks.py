"""What speaks for or against the assumptions of a verdict, in `results.json`."""

from __future__ import annotations

from pydantic import Field

from schemas.frozen import Record


class DriftResult(Record):
    """A property of the gallery on both sides; `warns`: they differ, so exchangeability is in doubt."""

    property: str
    candidates: float
    cohort: float
    p_value: float
    warns: bool


class RoleTestResult(Record):
    """Whether a linear classifier tells candidates from the cohort by their templates alone.

    auc: of people whom it was not fitted on; 0.5 is chance. p_value: by a permutation test within strata.
    warns: the sides are not exchangeable.
    """

    auc: float
    p_value: float
    warns: bool
    separators: dict[str, float] = Field(
        {}, description="property of people -> the share of the classifier's predictions that it explains"
    )


class PlaceboResult(Record):
    """The same audit, by the headline's score, of a generator that nobody of the gallery trained.

    samples: compared. set_p_value: of all candidates together. warns: somebody is flagged, or set_p_value is
    0.05 or less, so that this audit's flags may have another cause than training data.
    """

    kind: str
    fingerprint_sha256: str
    license: str
    samples: int
    set_p_value: float
    flagged: list[str]
    warns: bool
