"""Where a spec's model comes from: a path, or a pack of the insightface package's own model zoo."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal
from urllib.request import Request, urlopen
from zipfile import BadZipFile

from distributed.runtime.onnx_graph import input_shape, read_model
from schemas.errors import ModelError

PREFIX = "insightface:"
ROOT = Path("~/.insightface")
REACH_SECONDS = 10

Task = Literal["recognition", "detection"]
log = logging.getLogger(__name__)


def resolve_model(path: str, *, task: Task, root: Path = ROOT) -> Path:
    """The file that `path` names, or the model for `task` of the pack `insightface:<pack>` or of the folder
    `path`, an unpacked pack.

    A pack is downloaded to `root`/models unless it is there. Raises ModelError if it cannot be had.
    """
    if not path.startswith(PREFIX):
        return _find(Path(path), task) if Path(path).is_dir() else Path(path)
    pack = path.removeprefix(PREFIX)
    _tell_licence(pack)
    folder = _home(root) / "models" / pack
    if not folder.is_dir():
        _download(pack, folder)
    return _find(folder, task)


def _home(root: Path) -> Path:
    try:
        return root.expanduser()
    except RuntimeError as error:
        raise ModelError(
            f"{PREFIX} packs lie in {root}, and there is no home: set HOME, or give a path"
        ) from error


@cache
def _tell_licence(pack: str) -> None:
    log.warning(
        "%s%s: the pretrained models of InsightFace's zoo are for non-commercial research only,"
        " unless you hold a licence from InsightFace",
        PREFIX,
        pack,
    )


def _download(pack: str, folder: Path) -> None:
    # Imported where it is used: it costs a second, and only packs need it.
    from insightface.utils.storage import ensure_available, model_zoo_download_url

    try:
        # insightface downloads without a time limit, so first see whether anything answers.
        urlopen(Request(model_zoo_download_url(f"{pack}.zip"), method="HEAD"), timeout=REACH_SECONDS).close()
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder.parent) as partial, redirect_stdout(sys.stderr):
            _put_in_place(Path(ensure_available("models", pack, root=partial)), folder)
    except (OSError, RuntimeError, BadZipFile) as error:
        raise ModelError(
            f"cannot download {PREFIX}{pack} ({error}): download it on a connected machine and unpack it"
            f" to {folder}, or give the path of an ONNX file"
        ) from error


def _put_in_place(source: Path, folder: Path) -> None:
    """Rename a whole pack, so that other processes see all of it or nothing; the first one wins."""
    try:
        os.rename(source, folder)
    except OSError:
        if not folder.is_dir():
            raise


def _find(folder: Path, task: Task) -> Path:
    # Some packs hold a folder of their own name; macOS leaves files `._name.onnx` that are no models.
    for path in sorted(folder.rglob("*.onnx")):
        if not path.name.startswith(".") and task_of(path) == task:
            return path
    raise ModelError(
        f"{folder} holds no {task} model: give the path of an ONNX file, or delete the folder of a pack to "
        "download it anew"
    )


def task_of(path: Path) -> Task | None:
    """What a model of a pack is for, by the rules of insightface.model_zoo.ModelRouter.

    That begins detectors at five outputs. RetinaFace has three, and no recogniser has.
    """
    model = read_model(path)
    if len(model.graph.output) >= 3:
        return "detection"
    match input_shape(model):
        # Crops of 192 belong to landmarks, of 96 to attributes.
        case (_, _, int(height), int(width)) if height == width >= 112 and height != 192 and height % 16 == 0:
            return "recognition"
        case (_, 3, 112, 96) | (_, 112, 96, 3):
            return "recognition"
    return None
