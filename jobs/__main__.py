"""idleak: which real people does a face generator leak?"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from jobs.cli.output import with_output_watched
from jobs.cli.shadowing import shadowing

JOBS = {
    "audit": "everything below in one go; run again, it resumes",
    "sample": "draw the samples and embed their faces",
    "enroll": "embed the gallery's photos",
    "reduce": "neighbours, scores, verdicts, results.json",
    "plan": "what an audit would cost and could find, without running it",
    "submit": "run an audit as a job of a Ray cluster, follow it, stop it",
    "nightly": "repeat the audits of a fleet, and tell what is new",
    "status": "how far a run is, from another terminal",
    "report": "what a run found, as one page for people, with its figures",
    "explore": "look at a finished run in a browser: search, filter, nearest samples",
    "compare": "two runs of one gallery, side by side",
    "verify": "check every file of a run",
    "repair": "make the damaged and missing shards of a run again",
    "retry": "try the shards again that were set aside",
    "reveal": "who the pseudonyms of a run are, with its key; kept in its trail",
    "purge": "erase a run, or one person from it",
    "inspect": "what a model file is, without running any of it, and the spec's block for it",
    "convert": "a generator that is code as ONNX or safetensors, once",
    "bench": "measure what idleak claims",
    "doctor": "check this machine",
    "spec": "print the reference of the spec's keys",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the job that the first argument names with the rest; its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    return with_output_watched(lambda: _run(arguments))


def _run(arguments: Sequence[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_usage())
        return 0 if arguments else 2
    name, *rest = arguments
    if name not in JOBS:
        print(f"idleak: no job {name!r}; the jobs are {', '.join(JOBS)}", file=sys.stderr)
        return 2
    if (problem := shadowing()) is not None:
        print(f"idleak: {problem}", file=sys.stderr)
        return 1
    code: int = importlib.import_module(f"jobs.{name}").main(rest)
    return int(code)


def _usage() -> str:
    width = max(map(len, JOBS))
    lines = [f"  {name:<{width}}  {text}" for name, text in JOBS.items()]
    return "\n".join(
        [__doc__ or "", "", "usage: idleak <job> …", "", *lines, "", "idleak <job> --help says more."]
    )


if __name__ == "__main__":
    sys.exit(main())
