"""Git LFS pointer files in place of models, images and archives are called what they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from distributed.runtime.digests import digest_file, digest_model
from distributed.runtime.onnx_graph import read_model
from distributed.runtime.pointers import pointer_problem
from distributed.sampling.generator import InvalidImage
from distributed.sampling.images.decode import decode
from distributed.sampling.images.object_files import ObjectFiles
from distributed.sampling.inspection import inspect
from schemas.errors import SpecError

POINTER = (
    "version https://git-lfs.github.com/spec/v1\n"
    "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n"
    "size 12345\n"
)
SAYS = r"is a Git LFS pointer, not the file of 12,345 bytes that it stands for: run `git lfs pull`"


@pytest.mark.parametrize("use", [read_model, digest_model, digest_file, inspect])
def test_a_pointer_in_place_of_a_model(tmp_path: Path, use: Callable[[Path], object]) -> None:
    path = tmp_path / "g.onnx"
    path.write_text(POINTER)
    with pytest.raises(SpecError, match=SAYS):
        use(path)


PAGE = "\n<!DOCTYPE html><html><body>Sign in</body></html>"


@pytest.mark.parametrize("use", [read_model, inspect])
def test_a_web_page_in_place_of_a_model(tmp_path: Path, use: Callable[[Path], object]) -> None:
    path = tmp_path / "g.onnx"
    path.write_text(PAGE)
    with pytest.raises(SpecError, match=r"is a web page, saved in place of the file: log in"):
        use(path)


def test_a_web_page_in_place_of_a_photo_is_one_refused_photo() -> None:
    image = decode(PAGE.encode())
    assert isinstance(image, InvalidImage) and "is a web page" in image.reason


@pytest.mark.parametrize("suffix", [".tar", ".parquet"])
def test_a_pointer_in_place_of_an_archive(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"a{suffix}").write_text(POINTER)
    files = ObjectFiles(str(tmp_path), suffix)
    for read in (lambda: list(files.chunks(f"a{suffix}")), lambda: files.open(f"a{suffix}")):
        with pytest.raises(SpecError, match=SAYS):
            read()


def test_a_pointer_in_place_of_a_photo(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text(POINTER)
    for source in (tmp_path / "a.jpg", POINTER.encode()):
        image = decode(source)
        assert isinstance(image, InvalidImage) and "is a Git LFS pointer" in image.reason


def test_other_text_is_no_pointer() -> None:
    assert pointer_problem("a", b"version 2\n") is None
