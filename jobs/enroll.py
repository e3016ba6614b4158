"""`idleak enroll SPEC`: embed the gallery's photos into `gallery.parquet`; every refused photo is listed."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import click

from jobs.cli.arguments import StrictCommand, override_option, reveal_option, spec_argument
from jobs.cli.display import as_stored, displayed, with_names
from jobs.cli.exit_codes import ExitCode
from jobs.cli.gallery import overlap_lines, refused_lines
from jobs.cli.runs import acting, naming_people, shown_by_name
from jobs.cli.say import notice_lines, say, say_next
from jobs.cli.work import ray_executor, watching
from schemas.run.artefacts import GALLERY_FILE
from schemas.spec.load import load_spec


@click.command("enroll", cls=StrictCommand, help=__doc__)
@spec_argument
@reveal_option
@override_option
def command(spec: Path, *, override: str | None, reveal: bool) -> ExitCode:
    # onnxruntime and scipy, which take seconds to import.
    from distributed.gallery.enrolled import accepted
    from distributed.stages.enrolling.enroll import enroll
    from distributed.stages.enrolling.gallery_check import measured_lines

    audit = load_spec(spec)
    with acting("enroll", audit, override) as store, naming_people(store) if reveal else nullcontext():
        with ray_executor() as executor:
            enrolment = enroll(audit, store, executor, watching(store, audit))
        shown = shown_by_name(store) if reveal else as_stored
        say(*notice_lines(enrolment.notices, named=reveal))
        refused = [with_names(line, shown) for line in refused_lines(enrolment.table, enrolment.reasons)]
        say(*refused, *overlap_lines(enrolment.overlap, named=True, shown=displayed(shown)))
        say(*measured_lines(audit, enrolment.compared))
        count = accepted(enrolment.table).num_rows
        print(f"{count:,} of {enrolment.table.num_rows:,} photos enrolled in {audit.output}/{GALLERY_FILE}")
        say_next(f"idleak audit {spec} goes on from here; alone, the samples: idleak sample {spec}")
    return ExitCode.OK
