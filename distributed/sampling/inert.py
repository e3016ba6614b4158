"""What training programs save beside tensors, such as their arguments: known by name, and never made.

Wherever a pickle names one of these, an object that holds nothing takes its place.
"""

from __future__ import annotations

from typing import Any

INERT = frozenset(
    {
        "_codecs.encode",
        "argparse.Namespace",
        "datetime.date",
        "datetime.datetime",
        "datetime.timedelta",
        "numpy.dtype",
        "numpy.ndarray",
        *(
            f"numpy.{core}.multiarray.{name}"
            for core in ("core", "_core")
            for name in ("scalar", "_reconstruct")
        ),
        *(f"{module}.PosixPath" for module in ("pathlib", "pathlib._local")),
        *(f"{module}.WindowsPath" for module in ("pathlib", "pathlib._local")),
        "types.SimpleNamespace",
    }
)


class Inert(dict[str, Any]):
    """Takes what its maker was given, and keeps none of it."""

    def __new__(cls, *arguments: object, **named: object) -> Inert:
        return dict.__new__(cls)

    def __init__(self, *arguments: object, **named: object) -> None:
        super().__init__()

    def __setitem__(self, key: str, value: object) -> None:
        """Nothing is kept."""

    def __setstate__(self, state: object) -> None:
        """Nothing is kept."""
