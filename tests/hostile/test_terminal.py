"""Nothing that a stranger wrote acts on the terminal of whoever runs a job."""

from __future__ import annotations

import ast
import io
import logging
import unicodedata
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from jobs.cli.log import configure_log
from jobs.cli.say import cell, say
from schemas.errors import SpecError
from schemas.printable import LONGEST, printable, printable_lines, shortened
from tests.support.people import pseudonym
from tests.support.small_world import SmallWorld

ACTING = ("Cc", "Cf", "Cs", "Zl", "Zp")
ATTACKS = [
    "\x1b]0;owned\x07",
    "\x1b[2J\x1b[1;1Hall clear",
    "\x9b31mred",
    "name\nidleak: all candidates are innocent",
    "name\rinnocent",
    "\u202egnp.exe",
    "zero\u200bwidth",
    "\u2028line",
    "undecodable\udcff",
    "bell\x07",
    "[red]markup[/red]",
    "[link=https://example.org]click[/link]",
    "ends in \\",
    ":skull:",
    "=cmd()|' /C calc'!A0",
    "<img src=x onerror=alert(1)>",
    "$\\frac{",
    "%s %(name)s {0}",
]
MARKUP = ["[red]", "$\\sqrt{", "name\nforged", "\x1b[31m"]
ROOT = Path(__file__).resolve().parents[2]


def acts(text: str) -> bool:
    return any(unicodedata.category(character) in ACTING for character in text)


@given(st.text(max_size=50))
@example("".join(ATTACKS))
def test_no_character_of_a_printed_line_acts(text: str) -> None:
    line = printable(text)
    assert not acts(line)
    assert printable(line) == line
    line.encode()


@pytest.mark.parametrize("text", ["Zoë O'Neil-Łukasz", "山田 太郎", "محمد", "a b.png", "×, ≥ and σ"])
def test_names_of_people_stay_as_they_are(text: str) -> None:
    assert printable(text) == text


@given(st.text(alphabet="a\n\x1b\r", max_size=20))
def test_lines_stay_lines(text: str) -> None:
    shown = printable_lines(text)
    assert shown.count("\n") == text.count("\n") and not acts(shown.replace("\n", ""))


@given(st.text(), st.integers(10, 100))
def test_what_is_long_keeps_its_beginning_and_its_end(text: str, longest: int) -> None:
    short = shortened(text * 20, longest)
    assert len(short) <= longest
    assert short[:2] == (text * 20)[:2] and short[-2:] == (text * 20)[-2:]


@given(st.text(max_size=50))
@example("x" * 1_000_000)
@example(ATTACKS[0])
def test_an_error_is_one_line_that_does_not_act(text: str) -> None:
    message = str(SpecError(f"cannot read {text}: correct it"))
    assert len(message.splitlines()) == 1 and not acts(message) and len(message) <= LONGEST
    assert message.endswith("correct it")


@pytest.mark.parametrize("text", ATTACKS)
def test_a_line_and_a_cell_show_what_was_given(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    say(text)
    assert capsys.readouterr().out == printable(text) + "\n"
    table, shown = Table("name", show_lines=False), io.StringIO()
    table.add_row(cell(text))
    Console(file=shown, force_terminal=True, color_system="truecolor", width=200).print(table)
    assert printable(text) in shown.getvalue()
    assert "\x1b]" not in shown.getvalue() and "\x07" not in shown.getvalue()


def test_a_log_line_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_log()
    logging.getLogger("distributed").warning("cannot write %s", ATTACKS[0] + ATTACKS[3])
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and not acts(err.rstrip("\n"))


def test_jobs_print_through_say() -> None:
    """Benches print their own numbers; the others quote names, files and programs."""
    for path in sorted((ROOT / "jobs").glob("*.py")):
        if path.name == "say.py" or path.name.startswith("bench") or path.name in OWN_WORDS:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert not any(map(_is_print, ast.walk(tree))), f"{path.name}: use jobs.cli.say"


OWN_WORDS = {
    "doctor.py",  # what this machine says of itself
    "enroll.py",  # refused_lines are printable, and a spec's paths hold no control characters
    "retry.py",  # numbers
    "spec.py",  # idleak's own reference
    "submit.py",  # through printable_lines, in pieces that are no lines
}


def _is_print(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "click.echo", "click.secho")


def test_nothing_writes_csv() -> None:
    """So no name can become a formula of a spreadsheet that opens a table of idleak's."""
    writers = ("csv.writer", "DictWriter", "to_csv", "write_csv", "pyarrow.csv", "savetxt")
    for room in ("schemas", "distributed", "jobs"):
        for path in (ROOT / room).rglob("*.py"):
            used = [writer for writer in writers if writer in path.read_text(encoding="utf-8")]
            assert not used, f"{path.name} uses {used}: escape =, +, -, @ and tabs at the start of a field"


def test_an_ascii_terminal_does_not_end_a_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stderr", shown)
    assert main(["verify", str(tmp_path / "Łódź × 2")]) == ExitCode.BAD_SPEC
    shown.seek(0)
    assert "\\u0141\\xf3d\\u017a" in shown.read()


@pytest.mark.usefixtures("in_process")
def test_an_audit_of_people_with_hostile_names(
    small_world: SmallWorld, capfd: pytest.CaptureFixture[str]
) -> None:
    """From the photos' folders to the findings, the table and the verdicts, and to the names again."""
    people = sorted((small_world.folder / "candidates").iterdir())
    names = [attack.replace("/", "\u2215") for attack in MARKUP + ATTACKS if "\udcff" not in attack]
    names = names[: len(people)]
    for person, name in zip(people, names, strict=False):
        person.rename(person.with_name(name))
    broken = small_world.folder / "candidates" / names[0] / "\x1b[8mhidden.png"
    broken.write_bytes(b"no image")
    assert main(["audit", str(small_world.spec_path(gallery=_without_labels()))]) == ExitCode.OK
    out = capfd.readouterr().out
    assert not acts(out.replace("\n", ""))
    assert f"candidate {pseudonym(names[0])}/" in out
    assert main(["reveal", str(small_world.run), *(pseudonym(name) for name in names)]) == ExitCode.OK
    printed = capfd.readouterr().out
    assert not acts(printed.replace("\n", ""))
    for name in names:
        assert f"{pseudonym(name)}  {printable(name)}\n" in printed


def _without_labels() -> dict[str, object]:
    return {
        "candidates": {"images": "candidates"},
        "cohort": {"images": "cohort"},
        "detector": False,
        "labels": None,
    }


@pytest.mark.parametrize("text", ATTACKS[:10])
def test_an_error_about_a_hostile_spec_is_shown_as_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(yaml.safe_dump({text: text, "name": text}, allow_unicode=False), encoding="utf-8")
    assert main(["verify", str(tmp_path / "nowhere")]) == ExitCode.BAD_SPEC
    assert main(["audit", str(path)]) == ExitCode.BAD_SPEC
    err = capsys.readouterr().err
    assert err.count("\n") == 2 and not acts(err.replace("\n", ""))


@pytest.mark.parametrize("text", ATTACKS)
def test_a_wrong_use_that_quotes_a_hostile_word_is_one_line(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in ([text], ["doctor", text], ["explore", "run", "--port", text], [f"--{text}"]):
        assert main(words) == ExitCode.BAD_SPEC
        err = capsys.readouterr().err
        assert err.count("\n") == 1 and not acts(err.replace("\n", "")), words
