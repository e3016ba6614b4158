"""Images in tar files and in Parquet columns."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pydantic import TypeAdapter

from distributed.sampling.adapters import (
    generator_fields,
    generator_notices,
    image_count,
    open_generator,
    prepare_generator,
)
from distributed.sampling.generator import InvalidImage
from distributed.sampling.images.decode import FORMATS
from distributed.sampling.inspection import inspect
from jobs.__main__ import main
from jobs.cli.exit_codes import ExitCode
from schemas.errors import SpecError
from schemas.run.record import RunRecord
from schemas.spec.generators import GeneratorSpec
from schemas.spec.load import load_spec
from tests.support.archives import add_member, write_tar
from tests.support.small_world import SmallWorld

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = sorted((ROOT / "examples" / "generators").glob("*.yaml"))
PICTURES = np.random.default_rng(0).integers(0, 256, (10, 12, 12, 3), dtype=np.uint8)


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def tars(folder: Path) -> Path:
    folder.mkdir()
    members = [(f"{index:06d}.png", png(picture)) for index, picture in enumerate(PICTURES)]
    with_others = [
        part for name, body in members[:6] for part in ((name.replace("png", "json"), b"{}"), (name, body))
    ]
    write_tar(folder / "shard-0.tar", with_others)
    write_tar(folder / "shard-1.tar", members[6:], format=tarfile.PAX_FORMAT)
    return folder


def parquet(folder: Path, *, nested: bool = False, name: str = "image") -> Path:
    folder.mkdir()
    for number, part in enumerate((PICTURES[:7], PICTURES[7:])):
        encoded = [png(picture) for picture in part]
        rows: list[Any] = (
            [{"bytes": content, "path": "/etc/passwd"} for content in encoded] if nested else encoded
        )
        table = pa.table({name: rows, "label": list(range(len(part)))})
        pq.write_table(table, folder / f"part-{number}.parquet", row_group_size=3)
    return folder


def generator(kind: str, path: Path | str, **fields: Any) -> Any:
    return TypeAdapter(GeneratorSpec).validate_python({"kind": kind, "path": str(path)} | fields)


def images(spec: Any, ids: Sequence[int]) -> list[Any]:
    source = open_generator(spec, 0, device="cpu", threads=1, prepared=prepare_generator(spec))
    return list(source.sample(np.asarray(ids, np.int64)))


@pytest.fixture(params=["webdataset", "parquet", "nested"])
def packed(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if request.param == "webdataset":
        return generator("webdataset", tars(tmp_path / "packed"))
    return generator("parquet", parquet(tmp_path / "packed", nested=request.param == "nested"))


@pytest.mark.parametrize("ids", [range(10), [9, 0, 5, 5, 6, 3], [2], []])
def test_images_come_by_id_in_any_order(packed: Any, ids: Sequence[int]) -> None:
    assert image_count(packed) == 10
    for image, index in zip(images(packed, ids), ids, strict=True):
        np.testing.assert_array_equal(image, PICTURES[index])


def test_the_fingerprint_is_of_the_content_not_of_the_place(packed: Any, tmp_path: Path) -> None:
    before = generator_fields(packed)
    assert before["generator.seeded"] == "false"
    moved = Path(packed.path).rename(tmp_path / "elsewhere")
    there = packed.model_copy(update={"path": str(moved)})
    assert generator_fields(there) == before
    first = min(moved.iterdir())
    data = bytearray(first.read_bytes())
    data[700] ^= 1
    first.write_bytes(data)
    assert generator_fields(there) != before


def test_both_are_read_from_a_bucket(packed: Any, bucket: str) -> None:
    client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    prefix = bucket.removeprefix("s3://audits/")
    for path in Path(packed.path).iterdir():
        client.upload_file(str(path), "audits", f"{prefix}/{path.name}")
    client.close()
    remote = packed.model_copy(update={"path": bucket})
    np.testing.assert_array_equal(np.stack(images(remote, range(10))), PICTURES)


@pytest.mark.usefixtures("in_process")
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["webdataset", "parquet"])
def test_packed_images_are_audited_like_a_folder_of_them(small_world: SmallWorld, kind: str) -> None:
    source = open_generator(small_world.spec().generator, 7, device="cpu", threads=1)
    encoded = [png(np.asarray(sample)) for sample in source.sample(np.arange(150))]
    packed = small_world.folder / "packed"
    packed.mkdir()
    if kind == "webdataset":
        write_tar(packed / "a.tar", [(f"{index:04d}.png", content) for index, content in enumerate(encoded)])
    else:
        pq.write_table(pa.table({"image": encoded}), packed / "a.parquet", row_group_size=64)
    for name, given in (
        ("packed", {"kind": kind, "path": "packed"}),
        ("plain", small_world.spec().generator),
    ):
        changes = {"generator": given if isinstance(given, dict) else given.model_dump(mode="json")}
        spec = small_world.spec_path(name, samples=150, **changes)
        assert main(["audit", str(spec)]) == ExitCode.OK
    tables = [pq.read_table(small_world.folder / "runs" / name / "samples") for name in ("packed", "plain")]
    assert tables[0].equals(tables[1])
    spec = small_world.spec_path("more", samples=151, generator={"kind": kind, "path": "packed"})
    assert main(["sample", str(spec)]) == ExitCode.BAD_SPEC


def test_members_that_are_no_images_do_not_count(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name, kind in (
            ("link.png", tarfile.SYMTYPE),
            ("hard.png", tarfile.LNKTYPE),
            ("dev.png", tarfile.CHRTYPE),
        ):
            tar_info = tarfile.TarInfo(name)
            tar_info.type, tar_info.linkname = kind, "/etc/passwd"
            tar.addfile(tar_info)
        for name, body in (("../../up.png", png(PICTURES[0])), ("._a.png", b"mac"), ("bad.png", b"no image")):
            add_member(tar, name, body)
    first, second = images(generator("webdataset", tmp_path / "a.tar"), [0, 1])
    np.testing.assert_array_equal(first, PICTURES[0])
    assert isinstance(second, InvalidImage)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.tar"]


@pytest.mark.parametrize("keep", [300, 700, 5000, -1024, -600])
def test_a_tar_that_is_cut_off_is_refused(tmp_path: Path, keep: int) -> None:
    path = write_tar(
        tmp_path / "a.tar", [(f"{index}.png", png(picture)) for index, picture in enumerate(PICTURES)]
    )
    whole = path.read_bytes()
    end = len(whole.rstrip(b"\0")) if keep < 0 else keep
    path.write_bytes(whole[:end])
    with pytest.raises(SpecError, match=r"a\.tar .*fetch it again"):
        image_count(generator("webdataset", path))


@pytest.mark.parametrize(
    ("table", "column", "says"),
    [
        ({"picture": [b"x"]}, "image", "has no column 'image', it has \\['picture'\\]"),
        ({"image": ["text"]}, "image", "holds string, not bytes"),
        ({"image": pa.array([], pa.binary())}, "image", "holds no rows"),
    ],
)
def test_parquet_without_images_is_refused(tmp_path: Path, table: Any, column: str, says: str) -> None:
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    with pytest.raises(SpecError, match=says):
        image_count(generator("parquet", tmp_path, column=column))


def test_a_row_without_bytes_is_missing(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": [png(PICTURES[0]), None]}), tmp_path / "a.parquet")
    first, second = images(generator("parquet", tmp_path), [0, 1])
    assert isinstance(first, np.ndarray) and isinstance(second, InvalidImage)
    assert second.outcome == "missing"


@pytest.mark.parametrize("kind", ["webdataset", "parquet"])
def test_places_without_files_are_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(SpecError, match="holds no"):
        image_count(generator(kind, tmp_path))
    with pytest.raises(SpecError, match="no such file or folder"):
        image_count(generator(kind, tmp_path / "nowhere"))
    (tmp_path / "a.parquet").write_bytes(b"no parquet")
    (tmp_path / "a.tar").write_bytes(b"no tar" * 200)
    with pytest.raises(SpecError, match="fetch it again"):
        image_count(generator(kind, tmp_path))


@pytest.mark.parametrize(
    "path", sorted((ROOT / "examples" / "generators").glob("*.yaml")), ids=lambda path: path.name
)
def test_every_example_is_a_spec(path: Path) -> None:
    assert load_spec(path).generator.kind == path.stem


def three_of_a_name(path: Path) -> Path:
    """A photo, its segmentation and its depth under each name, as WebDataset keeps them, and a JSON."""
    members = []
    for index in range(3):
        bodies = {"json": b"{}", "depth.png": png(PICTURES[9]), "seg.png": png(PICTURES[8])}
        bodies["png"] = png(PICTURES[index])
        members += [(f"{index:06d}.{suffix}", body) for suffix, body in bodies.items()]
    return write_tar(path, members)


def test_one_image_of_each_name_is_a_sample(tmp_path: Path) -> None:
    path = three_of_a_name(tmp_path / "a.tar")
    with pytest.raises(SpecError, match=r"several images, depth\.png and seg\.png: set generator\.member"):
        image_count(generator("webdataset", path))
    spec = generator("webdataset", path, member="png")
    np.testing.assert_array_equal(np.stack(images(spec, range(3))), PICTURES[:3])
    assert generator_notices(spec) == [
        "left out: 6 images of other suffixes than png",
        "left out: 3 files that are no images by their names",
    ]
    assert generator_fields(spec)["generator.member"] == "png"
    assert image_count(generator("webdataset", path, member="*")) == 9
    block = inspect(path).block
    assert block is not None and block["member"] == "png"
    np.testing.assert_array_equal(np.stack(images(generator(**block), range(3))), PICTURES[:3])


@pytest.mark.parametrize("between", [0, 512, 20 * 512])
def test_what_follows_the_end_of_a_tar_is_read(tmp_path: Path, between: int) -> None:
    parts = [(f"{index:06d}.png", png(picture)) for index, picture in enumerate(PICTURES)]
    first = write_tar(tmp_path / "first", parts[:4]).read_bytes()
    second = write_tar(tmp_path / "second", parts[4:], format=tarfile.PAX_FORMAT).read_bytes()
    (tmp_path / "a.tar").write_bytes(first + bytes(between) + second)
    spec = generator("webdataset", tmp_path / "a.tar")
    np.testing.assert_array_equal(np.stack(images(spec, range(10))), PICTURES)
    assert generator_fields(spec)["generator.images"] == "10"
    (tmp_path / "a.tar").write_bytes(first + b"rubbish" * 512 + bytes(1024))
    with pytest.raises(SpecError, match="no whole tar file"):
        image_count(spec)


def test_a_damaged_header_does_not_end_a_tar(tmp_path: Path) -> None:
    parts = [(f"{index:06d}.png", png(picture)) for index, picture in enumerate(PICTURES)]
    data = bytearray(write_tar(tmp_path / "a.tar", parts).read_bytes())
    data[data.index(b"000005.png")] ^= 1
    (tmp_path / "a.tar").write_bytes(data)
    with pytest.raises(SpecError, match="no whole tar file"):
        image_count(generator("webdataset", tmp_path / "a.tar"))


@pytest.mark.parametrize("suffix", ["gif", "jfif", "avif"])
def test_images_of_every_format_in_a_tar_count(tmp_path: Path, suffix: str) -> None:
    buffer = io.BytesIO()
    form = {"jfif": "JPEG"}.get(suffix, suffix.upper())
    if form not in FORMATS:
        pytest.skip(f"this Pillow writes no {form}")
    Image.fromarray(PICTURES[0]).save(buffer, format=form)
    write_tar(tmp_path / "a.tar", [(f"a.{suffix}", buffer.getvalue()), ("b.png", png(PICTURES[1]))])
    spec = generator("webdataset", tmp_path / "a.tar")
    assert all(isinstance(image, np.ndarray) for image in images(spec, range(2)))
    assert generator_fields(spec)["generator.images"] == "2"


def test_a_compressed_tar_is_named(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz"):
        pass
    for use in (
        lambda: image_count(generator("webdataset", tmp_path)),
        lambda: inspect(tmp_path / "a.tar.gz"),
    ):
        with pytest.raises(SpecError, match=r"compressed.*: unpack it with gunzip, to a \.tar"):
            use()
    (tmp_path / "a.tar.gz").rename(tmp_path / "a.tar")
    with pytest.raises(SpecError, match="is compressed by gzip: unpack it with gunzip"):
        image_count(generator("webdataset", tmp_path))


@pytest.mark.usefixtures("in_process")
def test_what_is_no_image_is_named_before_sampling_and_kept_in_the_record(
    small_world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = small_world.folder / "made"
    folder.mkdir()
    for index, picture in enumerate(PICTURES[:4]):
        (folder / f"{index}.png").write_bytes(png(picture))
    for name in ("metadata.jsonl", "Thumbs.db", "README.md"):
        (folder / name).write_bytes(b"text")
    (folder / "image-without-a-suffix").write_bytes(png(PICTURES[4]))
    given = {"kind": "images", "path": "made"}
    spec = small_world.spec_path(samples=5, shard_size=5, generator=given)
    assert image_count(load_spec(spec).generator) == 5
    assert main(["sample", str(spec)]) == ExitCode.OK
    notice = "left out as no images, by name and first bytes: README.md, Thumbs.db, metadata.jsonl"
    assert f"generator: {notice}" in capsys.readouterr().err.splitlines()
    assert RunRecord.model_validate_json((small_world.run / "run.json").read_bytes()).generator == (notice,)
