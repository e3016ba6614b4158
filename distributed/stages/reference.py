"""Other generators that an audit is compared with: the finished run of a reference, and the placebo's."""

from __future__ import annotations

from distributed.embedding.fingerprint import recognizer_fields
from distributed.storage.run_record import read_record
from distributed.storage.store import RunStore
from schemas.errors import SpecError
from schemas.run.artefacts import PLACEBO_PREFIX, SAMPLES_PREFIX
from schemas.run.shard import plan_shards
from schemas.spec.audit import AuditSpec


def read_reference(spec: AuditSpec) -> AuditSpec:
    """The spec of the run that `membership.reference` names, its output as found there.

    Raises SpecError if it has fewer samples than this audit, other recognisers, or shards missing.
    """
    location = spec.membership.reference
    assert location is not None, "the spec's validators demand it"
    store = RunStore(location)
    reference = read_record(store).spec
    if reference.samples < spec.samples:
        raise SpecError(
            f"membership.reference has {reference.samples} samples and this audit {spec.samples}: "
            "equal numbers are compared, so draw more there"
        )
    if recognizer_fields(reference.faces) != recognizer_fields(spec.faces):
        raise SpecError(
            "membership.reference was embedded by other recognisers: run it with the same `faces`"
        )
    wanted = {
        f"{SAMPLES_PREFIX}/{shard.file_name}"
        for shard in plan_shards(reference.samples, reference.samples_per_shard)
    }
    missing = len(wanted - store.sizes(SAMPLES_PREFIX).keys())
    if missing:
        raise SpecError(f"membership.reference lacks {missing} shards: finish that run first")
    return reference.model_copy(update={"output": location})


def placebo_spec(spec: AuditSpec) -> AuditSpec | None:
    """The audit of the placebo, a run within the run; None without one."""
    if spec.membership.placebo is None:
        return None
    scores = spec.membership.scores
    membership = spec.membership.model_copy(
        # A score that combines recognisers combines the next one.
        update={"placebo": None, "scores": scores[: 2 if scores[0] == "consensus" else 1]}
    )
    return spec.model_copy(
        update={
            "generator": spec.membership.placebo,
            "membership": membership,
            "ledger": None,
            "output": f"{spec.output.rstrip('/')}/{PLACEBO_PREFIX}",
        }
    )
