"""What a model file or folder is, read without running or unpacking any of it."""

from __future__ import annotations

import ast
import io
import json
import pickletools
import re
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError
from picklescan.scanner import SafetyLevel, ScanResult, scan_pickle_bytes

from distributed.runtime.digests import digest_code
from distributed.runtime.pointers import MOST_BYTES as MOST_POINTER
from distributed.runtime.pointers import in_hub, stand_in_problem
from distributed.sampling.factories import PLACEHOLDER, checkout_beside, factories, likely_factory
from distributed.sampling.images.decode import IMAGE_SUFFIXES
from distributed.sampling.images.recordio import MAGIC
from distributed.sampling.images.tar_members import GZIP
from distributed.sampling.inspected import Inspection, of_file, shape_text
from distributed.sampling.onnx_inspection import inspect_onnx
from distributed.sampling.packed_inspection import (
    inspect_array,
    inspect_packed,
    inspect_parquet,
    inspect_recordio,
    inspect_tar,
    inspect_templates,
)
from distributed.sampling.weights_inspection import (
    inspect_legacy,
    inspect_safetensors,
    inspect_zipped,
    is_legacy,
    script_latent_dim,
)
from schemas.errors import ModelError

MOST_BYTES = 1 << 28
"""Of one member of an archive that is looked into."""

MOST_MEMBERS = 100_000
TENSOR_TYPES = {6: "float16", 7: "float32", 8: "float64", 4: "int32", 5: "int64", 13: "bfloat16"}
"""Those of torch.export's schema."""

PACKED = ((".tar", "webdataset"), (".parquet", "parquet"))
"""Suffix -> kind of generator."""

PROMPT = "a photo of a person's face"
REACHING_OPS = ("from_file", "save", "load", "warn", "python_value", "os_", "system", "fork", "wait")
DAMAGE = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    StopIteration,
    RecursionError,
    struct.error,
    zipfile.BadZipFile,
    DecodeError,
)
"""What readers raise for files that are not whole, or that were made to break them."""


def inspect(path: Path) -> Inspection:
    """Raises ModelError for what is missing, damaged, or of no kind that idleak knows."""
    if path.is_symlink() and in_hub(path) is None:
        raise ModelError(f"{path} is a symbolic link: give the file or folder itself")
    if not path.is_dir() and not path.is_file():
        raise ModelError(f"there is no file or folder {path}: correct the path")
    try:
        return _folder(path) if path.is_dir() else _file(path)
    except DAMAGE as error:
        raise ModelError(f"{path} is damaged ({type(error).__name__}): fetch it again") from error


def _folder(path: Path) -> Inspection:
    names = [entry.name for entry in path.iterdir() if not entry.name.startswith("._")]
    if "model_index.json" in names:
        return _diffusers(path)
    if any(name.endswith(".npy") for name in names) or (path / "img_emb").is_dir():
        return inspect_templates("a folder of arrays", path)
    for suffix, kind in PACKED:
        of_kind = sorted(name for name in names if name.endswith(suffix))
        if of_kind:
            return inspect_packed(path, path / of_kind[0], kind)
    if next(path.rglob("*.py"), None) is not None:
        return _code(path)
    for suffix, kind in PACKED:
        if (deeper := next(path.rglob(f"*{suffix}"), None)) is not None:
            return inspect_packed(path, deeper, kind)
    if any(file.suffix.lower() in IMAGE_SUFFIXES for file in path.rglob("*")):
        return _data("a folder of images", "images", path)
    raise ModelError(f"{path} holds nothing that makes images: give a model, images or code")


def _data(what: str, kind: str, path: Path, digest: str = "") -> Inspection:
    return Inspection(what, False, digest, block={"kind": kind, "path": str(path)})


def _file(path: Path) -> Inspection:
    if problem := stand_in_problem(path):
        raise ModelError(problem)
    with path.open("rb") as file:
        head = file.read(MOST_POINTER)
    if head.startswith(GZIP) and tarfile.is_tarfile(path):
        raise ModelError(f"{path} is a tar compressed by gzip: unpack it with gunzip, to a .tar")
    readers: tuple[tuple[bool, Callable[[Path], Inspection]], ...] = (
        (head[:4] == b"PK\x03\x04", _archive),
        (head[:4] == b"PAR1", inspect_parquet),
        (head[:6] == b"\x93NUMPY", inspect_array),
        (head[:4] == MAGIC.to_bytes(4, "little"), inspect_recordio),
        (head[:1] == b"\x80" and len(head) > 2 and head[1] <= 5, _pickle),
        (head[8:9] == b"{", inspect_safetensors),
        (tarfile.is_tarfile(path), inspect_tar),
    )
    for fits, read in readers:
        if fits:
            return read(path)
    return inspect_onnx(path)


def _members(archive: zipfile.ZipFile, path: Path) -> list[str]:
    names = archive.namelist()
    if len(names) > MOST_MEMBERS:
        raise ModelError(f"{path} has {len(names):,} members, more than a model has: it is not looked into")
    return names


def _bounded(archive: zipfile.ZipFile, name: str) -> bytes:
    """A member's bytes, whatever its directory says of its size. Raises ModelError for a bomb."""
    with archive.open(name) as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ModelError(f"{name!r} unpacks to more than {MOST_BYTES >> 20} MiB: it is not read")
    return content


def _archive(path: Path) -> Inspection:
    with zipfile.ZipFile(path) as archive:
        names = _members(archive, path)
        pickles = [name for name in names if name.endswith((".pkl", ".pt"))]
        state = next((name for name in names if name.endswith("data.pkl") and name.count("/") < 2), None)
        if state is not None and not any("/code/" in name for name in names):
            weights = inspect_zipped(path, _bounded(archive, state))
            if weights is not None:
                return weights
        risks = [line for name in pickles for line in _pickle_risks(_bounded(archive, name))]
        if any(name.endswith("/models/model.json") for name in names):
            return _exported(path, archive, names, risks)
        if any("/code/" in name for name in names):
            return _torchscript(path, archive, names, risks)
    if state is not None:
        return _beside_tensors(path, risks)
    return Inspection("a zip", True, of_file(path), [("pickles", str(len(pickles)))], risks)


def _beside_tensors(path: Path, risks: Sequence[str]) -> Inspection:
    what = "a file that torch.save wrote, with objects of code in it"
    advice = "where you trust it, save the state dict alone: torch.save(model.state_dict(), 'weights.pth')"
    return Inspection(what, True, of_file(path), [("then", advice)], risks)


def _exported(path: Path, archive: zipfile.ZipFile, names: Sequence[str], risks: list[str]) -> Inspection:
    model = json.loads(_bounded(archive, next(name for name in names if name.endswith("/models/model.json"))))
    graph = model["graph_module"]["graph"]
    specs = model["graph_module"]["signature"]["input_specs"]
    arguments = [spec["user_input"]["arg"] for spec in specs if "user_input" in spec]
    inputs = [argument["as_tensor"]["name"] for argument in arguments if "as_tensor" in argument]
    outputs = [output["as_tensor"]["name"] for output in graph["outputs"] if "as_tensor" in output]
    values = graph["tensor_values"]
    facts = [(f"input {name}", _exported_shape(values[name])) for name in inputs]
    facts += [(f"output {output}", _exported_shape(values[output])) for output in outputs]
    dims = [_sizes(values[name]) for name in inputs]
    dim = next((sizes[1] for sizes in dims if len(sizes) == 2), None)
    risks = ["loading an exported program can run what its maker wants", *risks]
    block = _torch_block("torch_export", path, dim if isinstance(dim, int) else None, inputs[1:])
    return Inspection("an exported program (.pt2)", True, of_file(path), facts, risks, *block)


def _sizes(value: Mapping[str, Any]) -> list[int | None]:
    return [size.get("as_int") for size in value["sizes"]]


def _exported_shape(value: Mapping[str, Any]) -> str:
    return f"{TENSOR_TYPES.get(value['dtype'], 'type ' + str(value['dtype']))} {shape_text(_sizes(value))}"


def _torchscript(path: Path, archive: zipfile.ZipFile, names: Sequence[str], risks: list[str]) -> Inspection:
    sources = [_bounded(archive, name).decode(errors="replace") for name in names if name.endswith(".py")]
    forwards = [forward for text in sources for forward in _forwards(text)]
    main = max(forwards, key=len, default=[])
    calls = sorted({call for text in sources for call in _reaching(text)})
    risks = [*(f"calls {call}" for call in calls), *risks]
    facts = [("source files", str(len(sources))), *((f"argument {name}", kind) for name, kind in main)]
    held = next((name for name in names if name.endswith("/data.pkl") and name.count("/") < 2), None)
    dim = None if held is None else script_latent_dim(_bounded(archive, held))
    block, decide = _torch_block("torchscript", path, dim, [name for name, _ in main[1:]])
    # The first layer need not be the latent's.
    decide = decide if "latent.dim" in decide else ["latent.dim", *decide]
    return Inspection("a TorchScript file", True, of_file(path), facts, risks, block, decide)


def _forwards(text: str) -> Iterator[list[tuple[str, str]]]:
    """The arguments, without self, and their types, of each method named forward."""
    for arguments in re.findall(r"def forward\(self: [^,)]*,?\s*(.*?)\) -> ", text, re.S):
        pairs = (part.split(":", 1) for part in arguments.split(",\n") if ":" in part)
        yield [(name.strip(), kind.strip()) for name, kind in pairs]


def _reaching(text: str) -> Iterator[str]:
    """Calls in TorchScript that reach beyond tensors, and operators that are not torch's own."""
    for name in re.findall(r"\b(?:torch|ops)\.([A-Za-z_][\w.]*)\(", text):
        own = name.split(".")[0] in ("aten", "prim", "prims")
        if name.rpartition(".")[2] in REACHING_OPS or ("." in name and not own):
            yield name


def _torch_block(
    kind: str, path: Path, dim: int | None, others: Sequence[str]
) -> tuple[dict[str, Any], list[str]]:
    block: dict[str, Any] = {"kind": kind, "path": str(path), "trust": of_file(path)}
    block["latent"] = {"dim": dim or 512, "distribution": "normal"}
    decide = ["trust", *([] if dim else ["latent.dim"]), "latent.distribution"]
    if others:
        block["inputs"] = {name: {"kind": "class", "classes": 10} for name in others}
        decide += [f"inputs.{name}" for name in others]
    return block | {"output": {"layout": "nchw", "range": [-1, 1]}}, [*decide, "output.range"]


def _pickle(path: Path) -> Inspection:
    with path.open("rb") as file:
        legacy = is_legacy(file.read(MOST_POINTER))
    if legacy and (weights := inspect_legacy(path)) is not None:
        return weights
    with path.open("rb") as file:
        content = file.read(8 * MOST_BYTES + 1)
    if len(content) > 8 * MOST_BYTES:
        raise ModelError(f"{path} is larger than {8 * MOST_BYTES >> 30} GiB: it is not looked into")
    if legacy:
        return _beside_tensors(path, _pickle_risks(content))
    digest, code = of_file(path), checkout_beside(path)
    facts = [("modules with their source inside", str(content.count(b"module_src")))]
    block: dict[str, Any] = {"kind": "stylegan", "path": str(path), "code": str(code or "stylegan3")}
    block |= {"trust": [digest], "truncation": 1.0}
    what = "a pickle, as NVlabs' networks are"
    decide = [*([] if code else ["code"]), "trust (the digest of `code`, too)", "truncation"]
    return Inspection(what, True, digest, facts, _pickle_risks(content), block, decide)


def _pickle_risks(content: bytes) -> list[str]:
    """What a pickle would import, each once, the dangerous ones first."""
    scan: ScanResult = scan_pickle_bytes(io.BytesIO(content), "")
    safety = {f"{imported.module}.{imported.name}": imported.safety for imported in scan.globals}
    dangerous = sorted(name for name, level in safety.items() if level is SafetyLevel.Dangerous)
    others = sorted(safety.keys() - set(dangerous))
    risks = [f"DANGEROUS: its pickle calls {name}" for name in dangerous]
    if others:
        risks.append(f"its pickle imports {', '.join(others)}")
    if scan.scan_err or not _is_whole(content):
        risks.append("its pickle cannot be read to the end: what follows is not known")
    return risks


def _is_whole(content: bytes) -> bool:
    try:
        return any(opcode.name == "STOP" for opcode, _, _ in pickletools.genops(content))
    except Exception:
        # pickletools promises no kinds of errors for bytes that are no pickle, and these may be made to break
        # it. Whatever it raises says one thing: the pickle is not whole, and the caller tells so.
        return False


def _diffusers(path: Path) -> Inspection:
    index = json.loads((path / "model_index.json").read_text(encoding="utf-8"))
    facts = [(name, str(index.get(f"_{name}"))) for name in ("class_name", "diffusers_version")]
    risks = [f"code: {file.relative_to(path)}" for file in sorted(path.rglob("*.py"))]
    risks += [
        f"a pickle, which is not loaded: {file.relative_to(path)}"
        for suffix in ("*.bin", "*.pt", "*.pkl", "*.ckpt")
        for file in sorted(path.rglob(suffix))
    ]
    if pickled := _only_pickled(path):
        what = f"a diffusers pipeline with weights as pickles alone ({', '.join(pickled)})"
        facts.append(("then", "where you trust it, load it and save_pretrained it anew, as safetensors"))
        return Inspection(what, True, "", facts, risks)
    block: dict[str, Any] = {"kind": "diffusers", "path": str(path)}
    # What the pipeline's call asks for shows in its parts: diffusers is not imported here.
    needed = {"prompt": PROMPT} if index.get("tokenizer") else {"label": 0} if "id2label" in index else {}
    return Inspection("a diffusers pipeline", bool(risks), "", facts, risks, block | needed, [*needed])


def _only_pickled(path: Path) -> list[str]:
    """Parts of a pipeline that have weights, and none that are read."""
    folders = {file.parent for file in path.glob("*/*.bin")}
    return sorted(folder.name for folder in folders if not any(folder.glob("*.safetensors")))


def _code(path: Path) -> Inspection:
    digest = f"sha256:{digest_code(path)}"
    imports: set[str] = set()
    unread = []
    for file in sorted(path.rglob("*.py")):
        try:
            imports |= set(_imports(ast.parse(file.read_text(encoding="utf-8"))))
        except (SyntaxError, ValueError, OSError, RecursionError):
            unread.append(f"cannot be read as Python: {file.relative_to(path)}")
    facts = [("imports", ", ".join(sorted(imports)) or "nothing")]
    facts += [("networks", ", ".join(named))] if (named := factories(path)) else []
    factory = likely_factory(path)
    block = {"kind": "module", "code": str(path), "factory": factory or PLACEHOLDER, "trust": digest}
    rest, decide = {"latent": {"dim": 512}}, [*([] if factory else ["factory"]), "trust", "latent.dim"]
    return Inspection("a folder of Python code", True, digest, facts, unread, block | rest, decide)


def _imports(tree: ast.AST) -> Iterator[str]:
    """The top-level names of what a source imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name.split(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.split(".")[0]
