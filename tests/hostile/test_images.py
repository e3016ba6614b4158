"""Hostile images, wherever they come from: each has its outcome; none fills the memory or ends a shard."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import TypeAdapter

from distributed.sampling.adapters import open_generator, prepare_generator
from distributed.sampling.generator import InvalidImage
from distributed.sampling.images.decode import FORMATS, MOST_BYTES, decode
from schemas.run.tables import Outcome
from schemas.spec.generators import GeneratorSpec
from tests.support import pictures
from tests.support.archives import write_tar
from tests.support.confined import confined
from tests.support.misbehaving import serving
from tests.support.small_world import SmallWorld

pytestmark = pytest.mark.filterwarnings("ignore:::PIL")

TOO_LARGE, INVALID = Outcome.TOO_LARGE, Outcome.INVALID_IMAGE
SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>"
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(ls) (w) file\n%%EOF\n"
REFUSED: dict[str, tuple[Callable[[], bytes], set[Outcome]]] = {
    "a PNG of 60,000 × 60,000": (lambda: pictures.png(60_000, 60_000), {TOO_LARGE}),
    "a PNG of 2^31 - 1": (lambda: pictures.png(2**31 - 1, 2**31 - 1), {TOO_LARGE, INVALID}),
    "a TIFF of one strip": (lambda: pictures.tiff_of_one_strip(20_000, 20_000), {TOO_LARGE}),
    "a TIFF of one huge tile": (lambda: pictures.tiff_of_tiles(64, 16_384), {TOO_LARGE}),
    "a GIF with a huge frame": (pictures.gif_with_a_large_frame, {TOO_LARGE}),
    "a WebP of 16,383 × 16,383": (
        lambda: pictures.encoded(Image.new("RGB", (16_383, 16_383)), "WEBP", lossless=True, method=0),
        {TOO_LARGE},
    ),
    "a text of 200 MB in a PNG": (lambda: pictures.png_with_text(b"zTXt"), {INVALID}),
    "a profile of 200 MB in a PNG": (lambda: pictures.png_with_text(b"iCCP"), {INVALID}),
    "a PNG that is cut off": (lambda: pictures.noise()[:-40], {INVALID}),
    "a JPEG's head": (lambda: pictures.noise("JPEG")[:20], {INVALID}),
    "no bytes": (lambda: b"", {INVALID}),
    "an SVG": (lambda: SVG, {INVALID}),
    "an EPS": (lambda: EPS, {INVALID}),
    "a program": (lambda: b"MZ" + bytes(500), {INVALID}),
    "floating-point pixels": (lambda: pictures.noise("TIFF", "F"), {INVALID}),
    "a format that few need": (lambda: pictures.noise("TGA"), {INVALID}),
}
READ: dict[str, Callable[[], bytes]] = {
    "3,000 frames": lambda: pictures.gif_of_frames(3_000),
    "a profile of 5 MB": lambda: pictures.jpeg_with_profile(5_000_000),
    "turned": pictures.turned,
    "sixteen bits": pictures.sixteen_bits,
    "palette and alpha": pictures.palette_with_alpha,
    "CMYK": lambda: pictures.noise("JPEG", "CMYK"),
    "one bit": lambda: pictures.noise("PNG", "1"),
}


def as_folder(folder: Path, images: Sequence[bytes]) -> dict[str, Any]:
    for index, content in enumerate(images):
        (folder / f"{index:03d}.png").write_bytes(content)
    return {"kind": "images", "path": str(folder)}


def as_tar(folder: Path, images: Sequence[bytes]) -> dict[str, Any]:
    tar = write_tar(folder / "shard.tar", ((f"{index:03d}.png", image) for index, image in enumerate(images)))
    return {"kind": "webdataset", "path": str(tar)}


def as_parquet(folder: Path, images: Sequence[bytes]) -> dict[str, Any]:
    pq.write_table(pa.table({"image": list(images)}), folder / "shard.parquet")
    return {"kind": "parquet", "path": str(folder / "shard.parquet")}


def outcomes(block: dict[str, Any], count: int, run: Path) -> list[Outcome | tuple[int, ...]]:
    """The outcome, or the shape, of each image of a generator."""
    spec: Any = TypeAdapter(GeneratorSpec).validate_python(block)
    source = open_generator(spec, 0, device="cpu", threads=1, prepared=prepare_generator(spec), run=str(run))
    samples = source.sample(np.arange(count))
    return [sample.outcome if isinstance(sample, InvalidImage) else sample.shape for sample in samples]


@pytest.fixture(scope="module")
def given_images() -> list[bytes]:
    return [make() for make, _ in REFUSED.values()] + [make() for make in READ.values()]


def require_all_told(results: Sequence[Outcome | tuple[int, ...]]) -> None:
    for (name, (_, expected)), result in zip(REFUSED.items(), results, strict=False):
        assert result in expected, name
    for name, result in zip(READ, results[len(REFUSED) :], strict=True):
        assert isinstance(result, tuple), name


@pytest.mark.parametrize("pack", [as_folder, as_tar, as_parquet])
def test_each_has_its_outcome_in_files(
    tmp_path: Path,
    given_images: list[bytes],
    pack: Callable[[Path, Sequence[bytes]], dict[str, Any]],
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    require_all_told(outcomes(pack(folder, given_images), len(given_images), tmp_path / "run"))


def test_each_has_its_outcome_in_answers(tmp_path: Path, given_images: list[bytes]) -> None:
    def answer(body: dict[str, Any], number: int) -> tuple[int, dict[str, str], bytes]:
        return 200, {"Content-Type": "image/png"}, given_images[body["index"]]

    with serving(answer) as api:
        block = {
            "kind": "http",
            "url": api.url,
            "body": {"index": "{index}"},
            "rate": 500,
            "budget": {"requests": 1000},
        }
        require_all_told(outcomes(block, len(given_images), tmp_path / "run"))


def test_what_is_refused_takes_no_memory(tmp_path: Path) -> None:
    paths = []
    for index, (make, _) in enumerate(REFUSED.values()):
        paths.append(tmp_path / f"{index}.png")
        paths[-1].write_bytes(make())
    took = confined(
        "from distributed.sampling.images.decode import decode",
        "for path in sys.argv[1:]: print(type(decode(Path(path))).__name__)",
        *paths,
        room=300,
    )
    assert set(took.lines) == {"InvalidImage"}
    assert took.mebibytes < 100


LARGE: dict[str, Callable[[], bytes]] = {
    "grey": lambda: pictures.png(4096, 4096, colour=0),
    "16 bits with alpha": lambda: pictures.png(4096, 4096, colour=6, depth=16),
    "16 bits of grey": lambda: pictures.png(4096, 4096, colour=0, depth=16),
    "WebP": lambda: pictures.encoded(Image.new("RGBA", (4096, 4096)), "WEBP", lossless=True, method=0),
    "JPEG": lambda: pictures.encoded(Image.new("RGB", (4096, 4096)), "JPEG", progressive=True),
    "TIFF": lambda: pictures.tiff_of_one_strip(4096, 4096),
}


@pytest.mark.parametrize("make", LARGE.values(), ids=LARGE)
def test_the_largest_that_is_decoded_takes_some_20_bytes_a_pixel(
    tmp_path: Path, make: Callable[[], bytes]
) -> None:
    """A few hundred bytes of WebP are 16 million pixels. Decoders take most; no mode costs a copy of all."""
    path = tmp_path / "large.png"
    path.write_bytes(make())
    took = confined(
        "from distributed.sampling.images.decode import decode",
        "print(decode(Path(sys.argv[1]), 1 << 24).shape)",
        path,
        room=600,
    )
    assert took.lines == ["(4096, 4096, 3)"]
    assert took.mebibytes <= 20 * 16


def test_a_batch_of_large_photos_is_not_held_at_once(small_world: SmallWorld) -> None:
    """32 of 4096 × 4096 would be 1.5 GiB."""
    folder = small_world.folder / "large"
    folder.mkdir()
    content = pictures.png(4096, 4096)
    for index in range(32):
        (folder / f"{index:02d}.png").write_bytes(content)
    took = confined(
        "from distributed.stages.making.embedder import ShardEmbedder\n"
        "from distributed.stages.making.setup import Setup\n"
        "from schemas.run.shard import Shard\nfrom schemas.spec.load import load_spec\n"
        "embedder = ShardEmbedder(Setup(load_spec(Path(sys.argv[1])), 'cpu', 1, "
        "photos=tuple(sorted(Path(sys.argv[2]).iterdir()))))",
        "print(len(embedder.embed(Shard(0, 0, 32)).faces.outcome))",
        small_world.spec_path(),
        folder,
        room=1400,
    )
    assert took.lines == ["32"]
    assert took.mebibytes < 1100


def test_a_file_larger_than_any_image_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.webp"
    path.write_bytes(pictures.noise("WEBP"))
    with path.open("r+b") as file:
        file.truncate(MOST_BYTES + 1)
    decoded = decode(path)
    assert isinstance(decoded, InvalidImage) and decoded.outcome is TOO_LARGE


def test_an_eps_starts_no_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow would have Ghostscript draw it."""
    program, mark = tmp_path / "gs", tmp_path / "was started"
    program.write_text(f"#!/bin/sh\ntouch '{mark}'\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert isinstance(decode(EPS), InvalidImage)
    assert not mark.exists()


def _seeds() -> Iterator[bytes]:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"
    for kind in FORMATS:
        yield pictures.noise(kind)
        yield pictures.noise(kind, "L")
    for kind in ("JPEG", "PNG", "TIFF", "WEBP"):
        yield pictures.noise(kind, exif=exif)
    yield from (pictures.palette_with_alpha(), pictures.sixteen_bits(), pictures.gif_of_frames(2))
    yield pictures.noise("TIFF", compression="tiff_lzw")


SEEDS = list(_seeds())
WORDS = [b"\xff\xff\xff\xff", bytes(4), b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x80\0\0\0"]
edits = st.lists(
    st.tuples(
        st.floats(0, 1, exclude_max=True), st.sampled_from(WORDS) | st.binary(max_size=6), st.booleans()
    ),
    max_size=5,
)


@settings(max_examples=400, deadline=None)
@given(seed=st.sampled_from(SEEDS), changes=edits, keep=st.floats(0.05, 1))
@example(seed=pictures.noise("AVIF"), changes=[(0.4, bytes(4), True)], keep=1.0)
def test_damaged_images_of_every_format_never_raise(
    seed: bytes, changes: Sequence[tuple[float, bytes, bool]], keep: float
) -> None:
    damaged = bytearray(seed[: max(1, int(keep * len(seed)))])
    for place, piece, replaces in changes:
        at = int(place * place * len(damaged))
        damaged[at : at + len(piece) * replaces] = piece
    decoded = decode(bytes(damaged), 1 << 20)
    if isinstance(decoded, InvalidImage):
        assert len(decoded.reason.splitlines()) == 1
    else:
        assert decoded.dtype == np.uint8 and decoded.ndim == 3 and decoded.shape[2] == 3
