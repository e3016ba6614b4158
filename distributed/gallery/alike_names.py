"""Names that a person may take for one: they differ in case, spaces or forms of Unicode alone."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Mapping
from itertools import combinations


def folded(name: str) -> str:
    """The name without case and spaces, in one form of Unicode (NFKC after full case folding)."""
    return "".join(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).split())


def alike_names(names: Mapping[str, str]) -> list[tuple[str, str]]:
    """Pairs of pseudonyms, rising, whose names are one when folded. names: pseudonym -> name."""
    groups: dict[str, list[str]] = defaultdict(list)
    for pseudonym, name in names.items():
        groups[folded(name)].append(pseudonym)
    return sorted(pair for group in groups.values() for pair in combinations(sorted(group), 2))
