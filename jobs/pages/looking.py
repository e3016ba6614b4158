"""Where pictures are made again, to be looked at."""

from __future__ import annotations

from jobs.cli.log import tell
from schemas.spec.audit import AuditSpec


def device_to_look_with(spec: AuditSpec) -> str:
    """The spec's device, or the CPU, and a word about it, where the spec says cuda and there is no GPU.

    A few pictures need no GPU, and an audit's head may have none. Verdicts come from the run's own templates.
    """
    # It takes seconds to import.
    import torch

    gpus = torch.cuda.device_count()
    if spec.resources.device == "cuda" and not gpus:
        text = "no GPU here: samples are made again on the CPU, and may differ from the audit's by rounding"
        tell("no_gpu", text)
        return "cpu"
    return spec.resources.device_with(gpus)
