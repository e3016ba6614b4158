"""Any text, and any change of a valid spec, gives a spec or a line of refusal, soon and in little memory."""

from __future__ import annotations

import copy
import resource
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from schemas.errors import SpecError
from schemas.printable import LONGEST
from schemas.spec.audit import AuditSpec
from schemas.spec.fleet import Fleet, load_fleet
from schemas.spec.load import load_generator, load_spec
from schemas.spec.yaml_text import MOST_BYTES, MOST_COST, MOST_DEPTH, read_yaml
from tests.support.small_world import default_spec

SECONDS = 5.0
"""Of the processor, whoever else is at work."""
VALID = yaml.safe_dump(default_spec() | {"output": "run"}, sort_keys=False)
FLEET = yaml.safe_dump(
    {
        "name": "fleet",
        "state": "state",
        "audits": [{"key": "one", "overrides": default_spec(), "per_night": 100, "maximum": 1000}],
    }
)
HTTP = {
    "kind": "http",
    "url": "https://api.example.org/make",
    "headers": {"Authorization": "Bearer {env:TOKEN}"},
    "body": {"seed": "{seed}", "style": "{style}"},
    "image": {"kind": "base64", "pointer": "/data/0"},
    "factors": {"style": ["oil", "ink"]},
    "budget": {"requests": 1000, "price": 0.1, "money": 100},
}
slow_files = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def refusal(path: Path, load: Any = load_spec) -> str:
    """The line that refuses the file; empty if it is accepted."""
    started = time.process_time()
    try:
        spec = load(path)
    except SpecError as error:
        line = str(error)
        assert len(line.splitlines()) == 1 and len(line) <= LONGEST and line.isprintable()
        return line
    finally:
        assert time.process_time() - started < SECONDS
    assert isinstance(spec, AuditSpec | Fleet) or load is not load_spec
    return ""


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "spec.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    return path


@slow_files
@given(st.text(alphabet=st.sampled_from("ab: -[]{}&*!|>'\"#%@`,?\n\t\\0x1.~<=\u0085\ufeff"), max_size=60))
@example("a: 0x_")
@example("a: 0b_")
@example("a: 2020-99-99")
@example("? [a]\n: b")
@example("&a a: *a")
@example("a: &a [*a]")
@example("<<: [{a: 1}]")
@example("=: 1")
@example("! a")
@example("--- a\n...\n--- b")
def test_text_that_looks_like_yaml(tmp_path: Path, text: str) -> None:
    for load in (load_spec, load_fleet, load_generator):
        assert refusal(write(tmp_path, text), load)


@slow_files
@given(st.binary(max_size=80))
@example(b"\xff\xfea\x00")
@example(b"\xed\xa0\x80")
@example(b"a: \x00")
def test_bytes(tmp_path: Path, content: bytes) -> None:
    assert refusal(write(tmp_path, content))


@slow_files
@given(data=st.data())
@pytest.mark.parametrize(("text", "load"), [(VALID, load_spec), (FLEET, load_fleet)], ids=["spec", "fleet"])
def test_a_valid_text_with_pieces_cut_and_put_in(tmp_path: Path, text: str, load: Any, data: Any) -> None:
    start = data.draw(st.integers(0, len(text)))
    stop = data.draw(st.integers(start, min(len(text), start + 30)))
    piece = data.draw(st.text(alphabet="ab:- [{}]&*!'\"\n1e9.", max_size=8))
    refusal(write(tmp_path, text[:start] + piece + text[stop:]), load)


nasty: st.SearchStrategy[Any] = st.sampled_from(
    [
        *(None, True, -1, 0, 10**18, 2**63, 10**60, 1e308, -0.0, float("nan"), float("inf"), "", " ", "~"),
        *("\x00", "\x1b[2J", "\u202e", "\ud800", "x" * 5000, "../../etc/passwd", "/dev/zero", "s3://", "NaN"),
        *(
            "1e999",
            "{env:HOME}",
            "=cmd()",
            [],
            {},
            [[]],
            {"": {}},
            {"a": 1},
            [None] * 3,
            "auto",
            "2020-13-01",
        ),
    ]
)


def places(content: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    pairs = content.items() if isinstance(content, dict) else enumerate(content)
    paths: list[tuple[Any, ...]] = []
    for key, value in pairs:
        paths.append((*way, key))
        paths += places(value, (*way, key)) if isinstance(value, dict | list) else []
    return paths


@slow_files
@given(data=st.data(), value=nasty)
@pytest.mark.parametrize("generator", [default_spec()["generator"], HTTP], ids=["onnx", "http"])
def test_a_valid_spec_with_values_replaced(
    tmp_path: Path, generator: dict[str, Any], data: Any, value: Any
) -> None:
    content: Any = copy.deepcopy(default_spec() | {"output": "run", "generator": generator})
    for way in data.draw(st.lists(st.sampled_from(places(content)), min_size=1, max_size=2, unique=True)):
        _set(content, way, value)
    refusal(write(tmp_path, yaml.safe_dump(content, allow_unicode=False)))


def _set(content: Any, way: tuple[Any, ...], value: Any) -> None:
    *parents, last = way
    for part in parents:
        content = content[part] if isinstance(content, dict | list) and _has(content, part) else None
    if isinstance(content, dict | list) and _has(content, last):
        content[last] = value


def _has(content: Any, part: Any) -> bool:
    return part in content if isinstance(content, dict) else isinstance(part, int) and part < len(content)


def laughs(levels: int = 40) -> str:
    lines = ["a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, levels)]
    return "\n".join(lines)


def deep_aliases() -> str:
    lines = [f"a0: &a0 {'[' * 30}x{']' * 30}"]
    lines += [f"a{i}: &a{i} {'[' * 30}*a{i - 1}{']' * 30}" for i in range(1, 50)]
    return "\n".join(lines)


LONG_ALIAS = "a: &a " + "x" * 100_000 + "\nb: [" + ", ".join(["*a"] * 10_000) + "]"
BOMBS = {
    "a billion laughs": (laughs(), "exceeds"),
    "long text, again and again": (LONG_ALIAS, "exceeds"),
    "aliases that nest": (deep_aliases(), "nested more than"),
    "deep lists": ("[" * 200_000, "nested more than"),
    "deep maps": ("{a: " * 200_000, "nested more than"),
    "deep blocks": ("- " * 200_000 + "x", "nested more than"),
    "many values": ("- 1\n" * 200_000, "exceeds"),
    "a number of a million digits": ("seed: " + "9" * 1_000_000, "digits"),
    "a number to base 60": ("seed: " + "1:" * 500_000 + "1", "digits"),
    "large": ("#" * (MOST_BYTES + 1), "bytes"),
    "two documents": ("a: 1\n---\nb: 1", "another document"),
    "equal keys": ("name: a\nname: b", "again"),
    "equal keys in quotes": ("name: a\n'name': b", "again"),
    "equal keys below": (VALID.replace("dim: 8", "dim: 8\n    dim: 9"), "again"),
    "a key that is no text": ("1: a", "in quotes"),
    "a key that is true": ("on: a", "in quotes"),
    "python": ("a: !!python/object/apply:os.system [id]", "has the tag"),
    "a tag of one's own": ("a: !x b", "has the tag"),
    "a tag of yaml's": ("a: !!int x", "has the tag"),
    "merged keys": ("a: &a {b: 1}\n<<: *a", "write the keys out"),
    "an alias of nothing": ("a: *b", "nothing that is whole"),
    "an alias of itself": ("a: &a [*a]", "nothing that is whole"),
    "a NUL": ('a: "b\\0"', "holds the character"),
    "half a character": ('a: "\\ud800"', "holds the character"),
    "an escape": ('a: "\\e[2J"', "holds the character"),
}


@pytest.mark.parametrize(("text", "says"), BOMBS.values(), ids=BOMBS)
def test_what_no_person_would_write(tmp_path: Path, text: str, says: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for load in (load_spec, load_fleet, load_generator):
        assert says in refusal(write(tmp_path, text), load)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 200_000, f"{grown} KiB"


def test_an_endless_file_is_not_read_to_its_end() -> None:
    assert "bytes" in refusal(Path("/dev/zero"))


def test_aliases_of_values_are_read(tmp_path: Path) -> None:
    path = write(tmp_path, "a: &a [1, {b: x}]\nc: *a\nd: [*a, *a]")
    assert read_yaml(path, "a test") == {
        "a": [1, {"b": "x"}],
        "c": [1, {"b": "x"}],
        "d": [[1, {"b": "x"}]] * 2,
    }


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False)
    | st.text("aé ~1:-#'\n"),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("ab1:", min_size=1), inner, max_size=4)
    ),
    max_leaves=10,
)


@slow_files
@given(plain)
def test_what_pyyaml_writes_is_read_as_it_was(tmp_path: Path, content: Any) -> None:
    path = write(tmp_path, yaml.safe_dump(content, allow_unicode=True))
    assert read_yaml(path, "a test") == content


@pytest.mark.parametrize(
    "change", [{"shard_size": 1, "samples": 10**12}, {"samples": 10**30}, {"shard_size": 10**9}]
)
def test_numbers_that_would_fill_the_memory(tmp_path: Path, change: dict[str, Any]) -> None:
    assert "shard" in refusal(write(tmp_path, yaml.safe_dump(default_spec() | {"output": "run"} | change)))


def test_factors_that_would_fill_the_memory(tmp_path: Path) -> None:
    names = [f"f{index}" for index in range(9)]
    generator = default_spec()["generator"] | {
        "inputs": {name: {"kind": "number", "value": 0} for name in names},
        "factors": {name: list(range(10)) for name in names},
    }
    spec = default_spec() | {"output": "run", "generator": generator}
    assert "combinations" in refusal(write(tmp_path, yaml.safe_dump(spec)))


@pytest.mark.parametrize(
    "change",
    [
        {"url": "https://"},
        {"url": "https://exa mple.org"},
        {"url": "https://example.org:99999999/"},
        {"url": "https://ex\u0430mple.org/"},
        {"headers": {"X\nHost": "y"}},
        {"headers": {"X": "a\nHost: b"}},
        {"idempotency_header": "a b"},
    ],
)
def test_requests_that_are_not_what_they_seem(tmp_path: Path, change: dict[str, Any]) -> None:
    spec = default_spec() | {"output": "run", "generator": HTTP | change}
    assert refusal(write(tmp_path, yaml.safe_dump(spec)))
    assert not refusal(write(tmp_path, yaml.safe_dump(spec | {"generator": HTTP})))


def test_many_errors_and_long_values_stay_one_short_line(tmp_path: Path) -> None:
    many = {f"key{index}": "x" * 100 for index in range(5_000)}
    line = refusal(write(tmp_path, yaml.safe_dump(default_spec() | many | {"output": "run"})))
    assert "and 4992 more" in line
    assert "…" in refusal(write(tmp_path, yaml.safe_dump(default_spec() | {"seed": "x" * 100_000})))
    assert MOST_COST > 10_000 and MOST_DEPTH > 10
