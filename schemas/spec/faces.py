"""How an image becomes templates: detector, recognisers, or fixed landmarks."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, PositiveInt, model_validator

from schemas.frozen import Frozen
from schemas.spec.locations import INSIGHTFACE_PREFIX, Location

INSIGHTFACE_LICENSE = "InsightFace: non-commercial research only"
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"

Point = tuple[float, float]
Search = Literal["first", "all"]


def _three(value: object) -> object:
    return [value] * 3 if isinstance(value, int | float) and not isinstance(value, bool) else value


def _all_positive(values: tuple[float, float, float]) -> tuple[float, float, float]:
    if min(values) <= 0:
        raise ValueError("every value must be greater than 0")
    return values


def _multiples_of_32(values: tuple[int, ...]) -> tuple[int, ...]:
    if any(value % 32 for value in values):
        raise ValueError("every size must be a multiple of 32")
    return values


def _different_points(points: tuple[Point, ...] | None) -> tuple[Point, ...] | None:
    if points is not None and len(set(points)) < len(points):
        raise ValueError("the landmarks must be five different points: eyes, nose, corners of the mouth")
    return points


PerChannel = Annotated[
    tuple[float, float, float],
    BeforeValidator(_three, json_schema_input_type=float | tuple[float, float, float]),
]


class ModelSpec(Frozen):
    """A model file, and on what terms it is used."""

    path: Location = Field(
        min_length=1,
        description="the ONNX file, the folder of a pack, or `insightface:<pack>`",
    )
    license: str | None = Field(
        None,
        description="the model's licence, for the record; null: what is known of the file (docs/models.md)",
    )
    accept_license: bool = Field(
        False, description="needed for `insightface:<pack>`: its weights are for non-commercial research only"
    )

    @model_validator(mode="after")
    def _license_accepted(self) -> Self:
        if self.path.startswith(INSIGHTFACE_PREFIX) and not self.accept_license:
            raise ValueError(
                f"the weights of {self.path} are for non-commercial research only: set accept_license: true "
                "if that is what you do, or give a model that you may use"
            )
        return self


class DetectorSpec(ModelSpec):
    """A face detector with landmarks: SCRFD, YuNet or RetinaFace, told by the graph's outputs."""

    sizes: Annotated[tuple[PositiveInt, ...], Field(min_length=1), AfterValidator(_multiples_of_32)] = Field(
        (128, 640), description="input sizes; faces found at each are merged, unless `search` is `first`"
    )
    search: Search = Field(
        "first",
        description="of samples: `first` tries the sizes in rising order, and the next one only on images "
        "without a face; `all` searches each image at all of them, as photos of the gallery are",
    )
    threshold: float = Field(0.5, gt=0, lt=1, description="smallest detection score of a face")


class RecognizerInput(Frozen):
    """Preprocessing: `(x - mean) / std` on the 0-255 scale."""

    channels: Literal["rgb", "bgr"] = Field("rgb", description="order of the colour channels")
    mean: PerChannel = Field((127.5, 127.5, 127.5), description="one number or three, on the 0-255 scale")
    std: Annotated[PerChannel, AfterValidator(_all_positive)] = Field(
        (127.5, 127.5, 127.5), description="one number or three, on the 0-255 scale"
    )


class RecognizerSpec(ModelSpec):
    """A face recogniser; its templates get a column of their own."""

    name: str = Field(pattern=NAME_PATTERN, description="name of the template column")
    input: RecognizerInput = Field(default_factory=RecognizerInput, description="preprocessing")


class FacesSpec(Frozen):
    """How an image becomes templates."""

    detector: DetectorSpec | None = Field(
        None, description="for gallery photos, and for samples unless `landmarks` is given"
    )
    landmarks: Annotated[
        tuple[Point, Point, Point, Point, Point] | None, AfterValidator(_different_points)
    ] = Field(
        None, description="five [x, y] in the generator's frame: samples get this fixed crop, no detection"
    )
    recognizers: tuple[RecognizerSpec, ...] = Field(
        min_length=1, description="one or more; the first one's first score decides the headline verdict"
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [recognizer.name for recognizer in self.recognizers]
        if len(set(names)) < len(names):
            raise ValueError(f"recognizers must have different names, got {names}")
        return self
