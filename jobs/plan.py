"""`idleak plan SPEC`: what an audit would cost and what it could find. Writes nothing."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from jobs.cli.arguments import spec_argument
from jobs.cli.command import guarded
from jobs.cli.exit_codes import ExitCode
from jobs.cli.say import cell, notice_lines, say
from jobs.cli.strict_command import StrictCommand
from schemas.spec.audit import AuditSpec
from schemas.spec.generators.http import HttpGenerator
from schemas.spec.load import load_spec


@click.command("plan", cls=StrictCommand, help=__doc__)
@spec_argument
def command(spec: Path) -> int:
    return guarded(lambda: _run(load_spec(spec)))


def _run(spec: AuditSpec) -> ExitCode:
    # Torch and onnxruntime, which take seconds to import.
    from distributed.gallery.overlap import require_each_once
    from distributed.gallery.source import gallery_source
    from distributed.stages.planning.gallery_probe import gallery_rows, probe_gallery, require_usable_probe
    from distributed.stages.planning.plan import capacity_here, count_photos, model_rows, work_rows
    from distributed.stages.planning.power_forecast import forecast_rows
    from distributed.stages.planning.sample_probe import probe_samples, require_usable_samples

    source = gallery_source(spec, None)
    require_each_once(spec, source)
    capacity = capacity_here(spec)
    people = count_photos(spec)
    samples = None if isinstance(spec.generator, HttpGenerator) else probe_samples(spec, capacity)
    gallery = probe_gallery(spec, capacity)
    table = Table("", "plan", show_header=False)
    rows = [*work_rows(spec, capacity, samples), *model_rows(spec)]
    rows += [*gallery_rows(gallery), *forecast_rows(spec, people)]
    for name, text in rows:
        table.add_row(name, cell(text))
    Console().print(table)
    say(*notice_lines(source.notices, named=False))
    if samples is not None:
        require_usable_samples(spec, samples)
    require_usable_probe(spec, gallery, capacity)
    return ExitCode.OK
