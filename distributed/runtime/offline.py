"""What keeps the libraries of an audit from calling home; `distributed` sets it before it imports any."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

VARIABLES: Mapping[str, str] = {
    "ORT_DISABLE_TELEMETRY": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    # A head of `ray start` reports even that its reports are off; requests refuses what is no address.
    "RAY_USAGE_STATS_REPORT_URL": "off",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "NO_ALBUMENTATIONS_UPDATE": "1",
    "DO_NOT_TRACK": "1",
}
"""What switches the telemetry, the look-ups and the checks for new versions of each library off."""

READ_AT_IMPORT: Mapping[str, str] = {
    "onnxruntime": "ORT_DISABLE_TELEMETRY",
    "huggingface_hub": "HF_HUB_OFFLINE",
    "albumentations": "NO_ALBUMENTATIONS_UPDATE",
}
"""Package -> the variable that it reads once, when it is imported."""

_too_late: set[str] = set()


def switch_off() -> None:
    """Set VARIABLES for this process and those that it starts, whatever the environment says of them.

    Forced: who audits people on a legal basis cannot leave it to a variable whether a third party is told.
    """
    _too_late.update(
        package
        for package, name in READ_AT_IMPORT.items()
        if package in sys.modules and os.environ.get(name) != VARIABLES[name]
    )
    os.environ.update(VARIABLES)


def still_on() -> list[str]:
    """What may call home all the same: packages that were imported too early, variables changed since."""
    changed = [name for name, value in VARIABLES.items() if os.environ.get(name) != value]
    return [*sorted(_too_late), *changed]
