"""By which names columns of images and of identities are known."""

from __future__ import annotations

from collections.abc import Sequence

IDENTITIES = ("identity", "person", "person_id", "subject", "name", "celebrity", "class", "label", "id")
"""What columns of identities are called, the clearest first."""


def identity_column(names: Sequence[str]) -> str | None:
    """The column of identities, by its name, or because there is no other."""
    folded = {name.casefold(): name for name in names}
    known = next((folded[name] for name in IDENTITIES if name in folded), None)
    return known if known is not None or len(names) != 1 else names[0]
