"""Images that lie in files, or within files."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from distributed.sampling.generator import InvalidImage
from distributed.sampling.images.places import PlacedImages, PlaceReader, Span, decode_at
from schemas.errors import SpecError


def test_a_span_of_a_file_is_the_image_that_lies_there(tmp_path: Path) -> None:
    whole, packed = tmp_path / "a.png", tmp_path / "packed"
    Image.new("RGB", (5, 4), "blue").save(whole)
    data = whole.read_bytes()
    packed.write_bytes(b"head" + data + b"tail")
    span = Span(str(packed), 4, len(data))
    np.testing.assert_array_equal(np.asarray(decode_at(span)), np.asarray(decode_at(whole)))
    digests = {PlaceReader().digest(place) for place in (whole, span)}
    assert digests == {hashlib.sha256(data).hexdigest()}
    images = PlacedImages([span, whole, Span(str(packed), 0, 4)]).sample(np.array([2, 0, 1]))
    assert isinstance(images[0], InvalidImage) and not isinstance(images[1], InvalidImage)


def test_bytes_that_are_not_there_are_missed(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"1234")
    with pytest.raises(SpecError, match=r"short ends before byte 5: fetch it again"):
        PlaceReader().encoded(Span(str(tmp_path / "short"), 2, 3))
    with pytest.raises(SpecError, match=r"cannot read .*No such file"):
        PlaceReader().encoded(Span(str(tmp_path / "none"), 0, 1))
