"""The command line itself: what it lists, loads, completes, suggests and refuses."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest

from jobs.__main__ import JOBS, main
from jobs.cli.arguments import StrictCommand, WordsOption, given_words, require_exactly_one
from jobs.cli.exit_codes import ExitCode
from tests.support.processes import ROOT, run_apart

BENCHES = ("worlds", "pipeline", "generators", "reduce", "restart", "encryption", "scheduler")
HEAVY = ("torch", "ray", "onnxruntime", "faiss", "cv2")


def refusal(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line on stderr of a command that is used wrongly."""
    capsys.readouterr()
    assert main(list(words)) == ExitCode.BAD_SPEC
    shown = capsys.readouterr()
    lines = shown.err.splitlines()
    assert not shown.out and len(lines) == 1 and lines[0].startswith("idleak: "), shown
    return lines[0]


def completions(words: str, place: int) -> list[str]:
    """What bash is offered at a place of the command line."""
    asked = {"_IDLEAK_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(place)}
    return run_idleak(**asked).stdout.splitlines()


def run_idleak(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return run_apart(sys.executable, "-m", "jobs", *words, environment=environment)


def test_the_list_has_every_job_in_order_with_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == ExitCode.OK
    lines = capsys.readouterr().out.splitlines()
    start = lines.index("Commands:") + 1
    rows = [tuple(line.split(maxsplit=1)) for line in lines[start : start + len(JOBS)]]
    assert rows == list(JOBS.items()) and len(rows) == 22


@pytest.mark.parametrize("name", JOBS)
def test_the_help_of_a_job_is_its_docstring(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == ExitCode.OK
    shown = capsys.readouterr().out
    sentences = importlib.import_module(f"jobs.{name}").__doc__ or ""
    assert " ".join(sentences.split()) in " ".join(shown.split())
    assert f"Usage: idleak {name} " in shown
    assert main([name, "-h"]) == ExitCode.OK and capsys.readouterr().out == shown


def test_no_help_loads_what_does_the_work() -> None:
    every = [["--help"], ["--version"], *([name, "--help"] for name in JOBS)]
    every += [["bench", name, "--help"] for name in BENCHES]
    script = (
        "import json, sys\nfrom jobs.__main__ import JOBS, main\n"
        "first = [main(['--help']), [name for name in JOBS if f'jobs.{name}' in sys.modules]]\n"
        f"codes = [main(words) for words in {every!r}]\n"
        f"print(json.dumps([first, codes, [name for name in {HEAVY!r} if name in sys.modules]]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    first, codes, loaded = json.loads(done.stdout.splitlines()[-1])
    assert first == [0, []]
    assert codes == [0] * len(every) and loaded == []


def test_the_version_is_that_of_the_sources(capsys: pytest.CaptureFixture[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert main(["--version"]) == ExitCode.OK
    assert capsys.readouterr().out == f"idleak {project['version']}\n"


def test_without_its_project_file_the_version_is_that_of_the_installation(tmp_path: Path) -> None:
    """As on a cluster, to which `submit` sends the sources alone."""
    for package in ("distributed", "jobs", "schemas"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    script = "from schemas.version import idleak_version; print(idleak_version())"

    def run() -> str:
        command = [sys.executable, "-S", "-c", script]
        return subprocess.run(command, cwd=tmp_path, text=True, capture_output=True, check=True).stdout

    assert run() == "of unknown version\n"
    metadata = tmp_path / "idleak-9.8.7.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: idleak\nVersion: 9.8.7\n")
    assert run() == "9.8.7\n"
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n')
    assert run() == "1.2.3\n"


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["adit"], "Did you mean 'audit'?"),
        (["nigthly", "fleet.yaml"], "Did you mean 'nightly'?"),
        (["bench", "gallary"], "Did you mean 'gallery'?"),
        (["audit", "--unamed", "spec.yaml"], "Did you mean '--unnamed'?"),
        (["purge", "run", "--identiy", "-"], "Did you mean '--identity'?"),
        (["--verison"], "Did you mean '--version'?"),
    ],
)
def test_what_is_misspelt_is_answered_with_what_is_near(
    words: list[str], meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refusal(capsys, *words)
    assert meant in line and "--help` says more)" in line


def test_a_job_that_nothing_is_near_to(capsys: pytest.CaptureFixture[str]) -> None:
    assert refusal(capsys, "xyzzy") == "idleak: no such command 'xyzzy' (`idleak --help` says more)"


@pytest.mark.parametrize("words", [[], ["bench"]])
def test_without_a_job_the_list_is_shown(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == ExitCode.BAD_SPEC
    shown = capsys.readouterr()
    assert not shown.out and "Commands:" in shown.err


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["purge", "run", "--identity", "-", "--if-due"], ["--identity", "--if-due"]),
        (["nightly", "fleet.yaml", "--dry-run", "--accept", "mine"], ["--dry-run", "--accept"]),
        (["spec", "--generators", "--fleet"], ["--generators", "--fleet"]),
        (["submit", "spec.yaml", "--stop", "job"], ["SPEC", "--stop"]),
        (["submit", "--status", "job", "--logs", "job"], ["--status", "--logs"]),
    ],
)
def test_options_that_exclude_each_other(
    words: list[str], names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    line = refusal(capsys, *words)
    assert f"{names[0]} and {names[1]} exclude each other" in line and f"`idleak {words[0]} --help`" in line


def test_submit_needs_one_of_its_four(capsys: pytest.CaptureFixture[str]) -> None:
    assert "give one of SPEC, --status, --logs, --stop" in refusal(capsys, "submit", "--detach")
    # An empty value is a value.
    require_exactly_one({"--status": "", "--logs": None, "--flag": False})


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["audit"], "missing argument 'SPEC'"),
        (["status"], "missing argument 'RUN'"),
        (["audit", "one.yaml", "two.yaml"], "unexpected extra argument (two.yaml)"),
        (["doctor", "now"], "unexpected extra argument (now)"),
        (["convert", "a.pt2", "b.onnx"], "missing option '--to'. Choose from: onnx, safetensors"),
        (["convert", "a.pt2", "b.onnx", "--to", "pickle"], "'pickle' is not one of 'onnx', 'safetensors'"),
        (["explore", "run", "--port", "many"], "'many' is not a valid integer"),
        (["purge", "run", "--receipt"], "option '--receipt' requires an argument"),
        (["purge", "run", "--receipt", "--if-due"], "option '--receipt' requires an argument"),
        (["audit", "a.yaml", "--override-authorisation", "--unnamed"], "requires an argument"),
        (["bench", "restart", "a.yaml", "--shards", "100", "none"], "'none' is not a valid integer"),
    ],
)
def test_a_wrong_use_is_one_line(words: list[str], problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert problem in refusal(capsys, *words)


@pytest.mark.parametrize("path", ["~/nowhere.yaml", "$HOME/nowhere.yaml", "-", "Łódź × 2.yaml"])
def test_a_path_is_taken_as_it_was_given(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A shell may expand it; we do not. And the spec's reader says what is wrong with it."""
    monkeypatch.chdir(tmp_path)
    line = refusal(capsys, "plan", path)
    assert path in line and "--help" not in line


def test_words_up_to_the_next_option_are_its_values() -> None:
    taken: list[object] = []

    @click.command("bench", cls=StrictCommand)
    @click.argument("spec")
    @click.option("--shards", cls=WordsOption, multiple=True, type=int, default=(1, 2))
    @click.option("--seed", type=int)
    @click.option("--quick", is_flag=True)
    def command(spec: str, *, shards: tuple[int, ...], seed: int | None, quick: bool) -> None:
        taken[:] = [spec, shards, seed, quick, given_words()]

    def parsed(*words: str) -> list[object]:
        command.main(list(words), prog_name="bench", standalone_mode=False)
        return taken

    assert parsed("a")[:4] == ["a", (1, 2), None, False]
    assert parsed("a", "--shards", "3", "4", "--quick")[:4] == ["a", (3, 4), None, True]
    assert parsed("--shards", "3", "--quick", "a")[:4] == ["a", (3,), None, True]
    assert parsed("--shards=3", "a", "--seed", "-1")[:4] == ["a", (3,), -1, False]
    assert parsed("--shards", "3", "-4", "--", "--quick")[:4] == ["--quick", (3, -4), None, False]
    words = ["a", "--shards", "3", "4"]
    assert parsed(*words)[4] == ["bench", *words]


def test_the_shell_completes_jobs_options_and_files() -> None:
    assert completions("idleak au", 1) == ["plain,audit"]
    assert completions("idleak re", 1) == [f"plain,{name}" for name in JOBS if name.startswith("re")]
    assert completions("idleak audit --un", 2) == ["plain,--unnamed"]
    assert completions("idleak convert --to s", 3) == ["plain,safetensors"]
    assert completions("idleak bench wor", 2) == ["plain,worlds"]
    assert [line.split(",")[0] for line in completions("idleak status ru", 2)] == ["file"]


def test_bash_takes_the_script_that_completes() -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash")
    script = run_idleak(_IDLEAK_COMPLETE="bash_source")
    assert script.returncode == 0
    registered = subprocess.run(
        [bash, "-c", f"{script.stdout}\ncomplete -p idleak"], text=True, capture_output=True
    )
    assert "-F _idleak_completion idleak" in registered.stdout, registered.stderr
    assert run_idleak(_IDLEAK_COMPLETE="no_such_shell").returncode == 1
    by_hand = run_idleak(_IDLEAK_COMPLETE="bash_complete")
    assert (by_hand.returncode, by_hand.stdout, by_hand.stderr) == (ExitCode.BAD_SPEC, "", "")


def test_a_process_ends_with_the_code() -> None:
    done = run_idleak("adit")
    assert (done.returncode, done.stdout) == (ExitCode.BAD_SPEC, "") and len(done.stderr.splitlines()) == 1
    assert run_idleak("spec").returncode == ExitCode.OK
