"""The audit spec: what a person writes, as frozen values. The shape is the public contract."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PositiveInt,
    ValidationError,
    model_validator,
)

from schemas.errors import SpecError
from schemas.file_names import require_file_name
from schemas.frozen import Frozen
from schemas.printable import shortened
from schemas.spec.generators import GeneratorSpec
from schemas.spec.generators.http import HttpGenerator
from schemas.spec.protection import AuthorisationSpec, ProtectionSpec
from schemas.spec.secret_names import SECRET
from schemas.spec.yaml_text import read_yaml

INSIGHTFACE_PREFIX = "insightface:"
INSIGHTFACE_LICENSE = "InsightFace: non-commercial research only"
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
MOST_TOLD, LONGEST_TOLD = 8, 200
MOST_SHARD, MOST_SHARDS = 1_000_000, 1_000_000
"""A shard is held in memory, a list of all shards too, and their names have six digits."""

REMOTE_SCHEMES = ("s3://", "gs://", "az://")


Point = tuple[float, float]


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


PerChannel = Annotated[tuple[float, float, float], BeforeValidator(_three)]
ScoreName = Literal[
    "cohort_norm",
    "max",
    "topk_mean",
    "hit_rate",
    "density_ratio",
    "calibrated",
    "z_norm",
    "t_norm",
    "s_norm",
    "consensus",
]
QUALITY = "quality"
Auto = Literal["auto"]


class ModelSpec(Frozen):
    """A model file, and on what terms it is used."""

    path: str = Field(min_length=1, description="the ONNX file, or `insightface:<pack>`")
    license: str | None = Field(None, description="the model's licence, for the record")
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

    @property
    def terms(self) -> str:
        """The licence, as far as it is known."""
        known = INSIGHTFACE_LICENSE if self.path.startswith(INSIGHTFACE_PREFIX) else "not stated"
        return self.license or known


class DetectorSpec(ModelSpec):
    """An InsightFace-format SCRFD face detector with landmarks."""

    sizes: Annotated[tuple[PositiveInt, ...], Field(min_length=1), AfterValidator(_multiples_of_32)] = Field(
        (128, 640), description="input sizes; faces found at each are merged"
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
        if self.detector is None and self.landmarks is None:
            raise ValueError("give a detector, or the landmarks of the generator's frame")
        return self


class PeopleSpec(Frozen):
    """Photos of people: a folder, or templates enrolled before."""

    images: str | None = Field(None, description="a folder with one folder of photos per identity")
    parquet: str | None = Field(None, description="a `gallery.parquet` enrolled with the same `faces`")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.images is None) == (self.parquet is None):
            raise ValueError("give either images (a folder) or parquet (a gallery.parquet), one of the two")
        return self


class GallerySpec(Frozen):
    """The real people that the samples are compared with."""

    candidates: PeopleSpec = Field(description="the identities that the audit is about")
    cohort: PeopleSpec = Field(description="identities known to be outside the training data")
    detector: bool = Field(True, description="false: the photos are aligned 112×112 crops already")
    labels: str | None = Field(
        None, description="CSV `identity,member`; for evaluation only, never read by scoring"
    )
    attributes: str | None = Field(
        None, description="CSV `identity,…`: columns that `membership.strata` may name"
    )


class MembershipSpec(Frozen):
    """Which scores are computed, and how candidates are flagged."""

    scores: tuple[ScoreName, ...] = Field(
        ("cohort_norm", "max", "topk_mean", "hit_rate"),
        min_length=1,
        description="the first one decides; `consensus` combines the first other one of all recognisers",
    )
    topk: int = Field(16, ge=1, le=2048, description="neighbours kept per photo; `topk_mean` averages them")
    fdr: float = Field(0.05, gt=0, lt=1, description="false-discovery rate of the flagged identities")
    correction: Literal["bh", "by"] = Field(
        "bh", description="Benjamini-Hochberg, or Benjamini-Yekutieli for any dependence of the p-values"
    )
    hit: Literal["cohort", "median"] = Field(
        "cohort",
        description="threshold of a hit: `hit_fmr` of the cohort, or the median photo's nearest sample",
    )
    hit_fmr: float = Field(
        1e-4, gt=0, lt=1, description="false match rate of a hit, among the cohort's photos"
    )
    photos: Auto | PositiveInt = Field(
        "auto", description="photos used of an identity; fewer make the cohort larger: see `idleak plan`"
    )
    strata: tuple[str, ...] = Field(
        (), description="calibrate within these columns of `gallery.attributes`, or `quality` of the photos"
    )
    least_stratum: int = Field(
        100, ge=1, description="strata with fewer cohort identities are merged with others"
    )
    reference: str | None = Field(
        None,
        description="a finished run of a reference generator, for `calibrated`; equal numbers are compared",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.scores)) < len(self.scores):
            raise ValueError(f"scores must not repeat, got {list(self.scores)}")
        if "calibrated" in self.scores and self.reference is None:
            raise ValueError(
                "the score calibrated needs membership.reference, a run of a reference generator"
            )
        if self.scores == ("consensus",):
            raise ValueError("consensus combines another score: list that one too")
        return self


class ResourcesSpec(Frozen):
    """Where and how widely the run is spread. Changes no result."""

    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="auto: CUDA where there is one; cuda: fail rather than fall back"
    )
    workers: Auto | PositiveInt = Field(
        "auto", description="actors; auto: what the cluster has room for, as it grows and shrinks"
    )
    grow_to: PositiveInt | None = Field(
        None, description="workers to ask an autoscaling cluster for; those that are there begin"
    )
    wait_seconds: float = Field(
        900, gt=0, description="how long a run without any machine waits for one before it stops"
    )
    threads_per_worker: Auto | PositiveInt = Field("auto", description="CPU threads of one actor; auto: 1")
    batch: Auto | PositiveInt = Field(
        "auto",
        description="crops a recogniser takes at once; auto: the fastest of a probe that changes no bit",
    )

    @model_validator(mode="after")
    def _growth_is_of_something(self) -> Self:
        if self.grow_to is not None and (self.device == "auto" or self.workers != "auto"):
            raise ValueError("resources.grow_to needs resources.device, cpu or cuda, and workers: auto")
        return self


class LimitsSpec(Frozen):
    """What a run puts up with before it fails."""

    invalid_samples: float = Field(
        0.01, ge=0, le=1, description="share of samples that may be no images; past it the run fails"
    )
    shard_seconds: float = Field(
        3600, gt=0, description="a shard that takes longer is tried again on a new worker"
    )
    pixels: PositiveInt = Field(
        64_000_000, description="pixels of a decoded image; a larger one is not decoded"
    )


class AuditSpec(Frozen):
    """One audit: a generator, a gallery, and how they are compared."""

    name: str = Field(pattern=NAME_PATTERN, description="name of the audit")
    seed: int = Field(0, ge=0, lt=2**63, description="seed of the samples")
    generator: GeneratorSpec = Field(description="the generator under audit: docs/generators.md")
    samples: PositiveInt = Field(description="how many samples are drawn")
    shard_size: int = Field(
        2000, ge=1, le=MOST_SHARD, description="samples per shard, the unit of work and of resuming"
    )
    faces: FacesSpec = Field(description="how an image becomes templates")
    gallery: GallerySpec = Field(description="the people that the samples are compared with")
    membership: MembershipSpec = Field(default_factory=MembershipSpec, description="scores and verdicts")
    resources: ResourcesSpec = Field(default_factory=ResourcesSpec, description="devices and workers")
    limits: LimitsSpec = Field(default_factory=LimitsSpec, description="what makes the run fail")
    authorisation: AuthorisationSpec | None = Field(
        None, description="who has allowed the audit; without it nothing runs, unless that is overridden"
    )
    protection: ProtectionSpec = Field(
        default_factory=ProtectionSpec, description="pseudonyms, encryption, retention: docs/privacy.md"
    )
    ledger: str | None = Field(
        None, description="a folder that keeps the false-discovery budget of repeated audits of one gallery"
    )
    output: str = Field(min_length=1, description="the run's folder, or an s3://, gs:// or az:// prefix")

    @model_validator(mode="after")
    def _few_shards(self) -> Self:
        if self.samples > MOST_SHARDS * self.shard_size:
            least = math.ceil(self.samples / MOST_SHARDS)
            raise ValueError(
                f"samples would be cut into more than {MOST_SHARDS:,} shards: lower samples, or raise "
                f"shard_size to {least} or more, {MOST_SHARD:,} at most"
            )
        return self

    @model_validator(mode="after")
    def _detector_for_photos(self) -> Self:
        from_photos = self.gallery.candidates.images or self.gallery.cohort.images
        if from_photos and self.gallery.detector and self.faces.detector is None:
            raise ValueError("gallery.detector is true, so faces.detector must be given")
        if set(self.membership.strata) - {QUALITY} and self.gallery.attributes is None:
            raise ValueError("membership.strata names columns, so gallery.attributes must be given")
        if isinstance(self.generator, HttpGenerator):
            least = math.ceil(self.shard_size / self.generator.batch) / self.generator.rate
            if least > self.limits.shard_seconds / 2:
                raise ValueError(
                    f"at generator.rate a shard takes {least:,.0f} s, over half of limits.shard_seconds: "
                    "lower shard_size or raise that limit"
                )
        if "consensus" in self.membership.scores and len(self.faces.recognizers) < 2:
            raise ValueError("the score consensus needs two or more faces.recognizers")
        return self


class GeneratorOnly(Frozen):
    """A file that `idleak inspect` has printed the block of, and nothing else."""

    generator: GeneratorSpec


Spec = TypeVar("Spec", bound=Frozen)


def is_remote(location: str) -> bool:
    return location.startswith(REMOTE_SCHEMES)


def load_spec(path: Path) -> AuditSpec:
    """Read a spec and make its paths absolute, relative to the spec's own folder.

    Raises SpecError, one line for all bad fields: each with its name, its value and what was expected.
    """
    return parse_spec(read_keys(path, "an audit spec"), path, path.resolve().parent)


def parse_spec(raw: Mapping[str, Any], source: object, base: Path) -> AuditSpec:
    """The spec of these keys, its paths relative to `base`. Raises SpecError, which begins with `source`."""
    return with_absolute_paths(validated(AuditSpec, raw, source), base)


def load_generator(path: Path) -> GeneratorSpec:
    """The generator of an audit's spec, or of a file that holds `generator` alone. Raises as `load_spec`."""
    raw = read_keys(path, "an audit spec")
    if raw.keys() != {"generator"}:
        return load_spec(path).generator
    generator = validated(GeneratorOnly, raw, path).generator
    return generator.with_paths(lambda one: _absolute(one, path.resolve().parent))


def read_keys(path: Path, what: str) -> dict[str, Any]:
    """The keys of a YAML file that holds `what`. Raises SpecError as `read_yaml`, or if it holds no keys."""
    raw = read_yaml(path, what)
    if not isinstance(raw, dict):
        raise SpecError(f"{path} must hold the keys of {what}, not a {type(raw).__name__}")
    return raw


def validated(kind: type[Spec], raw: Mapping[str, Any], source: object) -> Spec:
    """The keys as values. Raises SpecError, one line that begins with `source`, for all bad fields."""
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        told = [_explain(detail) for detail in error.errors()]
        more = [f"and {len(told) - MOST_TOLD} more"] if len(told) > MOST_TOLD else []
        raise SpecError(f"{source}: {'; '.join([*told[:MOST_TOLD], *more])}") from error


def _explain(detail: Any) -> str:
    field = shortened(".".join(str(part) for part in detail["loc"]) or "the spec", LONGEST_TOLD)
    if detail["type"] == "extra_forbidden":
        return f"{field}: no such key; remove it or correct its spelling"
    if detail["type"] == "missing":
        return f"{field}: missing; it is required"
    message = detail["msg"].removeprefix("Value error, ")
    given = shortened(repr(detail["input"]), LONGEST_TOLD)
    value = "" if isinstance(detail["input"], dict) else f" (got {given})"
    return f"{field}: {shortened(message, LONGEST_TOLD)}{value}"


def _absolute(location: str, base: Path) -> str:
    if location.startswith(INSIGHTFACE_PREFIX) or is_remote(location):
        return location
    return require_file_name(os.path.normpath(base / location))


def _protection(protection: ProtectionSpec, absolute: Callable[[str], str]) -> ProtectionSpec:
    named = SECRET.fullmatch(protection.key)
    assert named is not None, "the field's pattern demands it"
    kind, name = named.groups()
    key = f"{{file:{absolute(name)}}}" if kind == "file" else protection.key
    return protection.model_copy(update={"key": key, "kms": protection.kms and absolute(protection.kms)})


def with_absolute_paths(spec: AuditSpec, base: Path) -> AuditSpec:
    """The same spec with every path absolute; `insightface:` names and bucket addresses stay as they are."""

    def absolute(location: str) -> str:
        return _absolute(location, base)

    def people(source: PeopleSpec) -> PeopleSpec:
        images = source.images and absolute(source.images)
        return PeopleSpec(images=images, parquet=source.parquet and absolute(source.parquet))

    faces = spec.faces.model_copy(
        update={
            "detector": spec.faces.detector
            and spec.faces.detector.model_copy(update={"path": absolute(spec.faces.detector.path)}),
            "recognizers": tuple(
                one.model_copy(update={"path": absolute(one.path)}) for one in spec.faces.recognizers
            ),
        }
    )
    gallery = spec.gallery.model_copy(
        update={
            "candidates": people(spec.gallery.candidates),
            "cohort": people(spec.gallery.cohort),
            "labels": spec.gallery.labels and absolute(spec.gallery.labels),
            "attributes": spec.gallery.attributes and absolute(spec.gallery.attributes),
        }
    )
    ledger = spec.ledger and absolute(spec.ledger)
    reference = spec.membership.reference and absolute(spec.membership.reference)
    membership = spec.membership.model_copy(update={"reference": reference})
    changes = {
        "faces": faces,
        "gallery": gallery,
        "generator": spec.generator.with_paths(absolute),
        "membership": membership,
        "protection": _protection(spec.protection, absolute),
        "ledger": ledger,
        "output": absolute(spec.output),
    }
    return spec.model_copy(update=changes)
