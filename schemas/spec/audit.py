"""The audit spec: what a person writes, as frozen values. The shape is the public contract."""

from __future__ import annotations

import math
from typing import Annotated, Self

from pydantic import Field, PositiveInt, PrivateAttr, model_validator

from schemas.errors import SpecError
from schemas.frozen import Frozen
from schemas.spec.faces import NAME_PATTERN, FacesSpec
from schemas.spec.gallery import GallerySpec
from schemas.spec.generators import GeneratorSpec
from schemas.spec.locations import Location, locations_by_key
from schemas.spec.membership import BUILT_IN, QUALITY, MembershipSpec
from schemas.spec.protection import AuthorisationSpec, ProtectionSpec
from schemas.spec.resources import Auto, LimitsSpec, ResourcesSpec

MOST_SHARD, MOST_SHARDS = 1_000_000, 1_000_000
"""A shard is held in memory, a list of all shards too, and their names have six digits."""


class AuditSpec(Frozen):
    """One audit: a generator, a gallery, and how they are compared."""

    name: str = Field(pattern=NAME_PATTERN, description="name of the audit")
    seed: int = Field(0, ge=0, lt=2**63, description="seed of the samples")
    generator: GeneratorSpec = Field(description="the generator under audit: docs/generators.md")
    samples: PositiveInt = Field(description="how many samples are drawn")
    shard_size: Auto | Annotated[int, Field(ge=1, le=MOST_SHARD)] = Field(
        2000,
        description="samples per shard, the unit of work and of resuming; auto: about a minute of a worker's "
        "work, by a probe when the run begins, and kept by the run",
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
    ledger: Location | None = Field(
        None, description="a folder that keeps the false-discovery budget of repeated audits of one gallery"
    )
    output: Location = Field(min_length=1, description="the run's folder, or an s3://, gs:// or az:// prefix")

    _as_written: dict[str, str] = PrivateAttr(default_factory=dict)

    @property
    def locations_as_written(self) -> dict[str, str]:
        """Dotted key -> the location as it stands in the spec's file; empty if it was not read from one."""
        return dict(self._as_written)

    def written_as(self, spec: AuditSpec) -> Self:
        """Remember how the file wrote the locations. spec: the same, before its paths were made absolute."""
        self._as_written.update(locations_by_key(spec))
        return self

    @property
    def samples_per_shard(self) -> int:
        """`shard_size`. Raises SpecError where it is `auto`, and no run has settled it."""
        if self.shard_size == "auto":
            raise SpecError(f"shard_size is auto and {self.output} has no samples: run `idleak sample` first")
        return self.shard_size

    @model_validator(mode="after")
    def _few_shards(self) -> Self:
        if self.shard_size == "auto":
            return self
        if self.samples > MOST_SHARDS * self.shard_size:
            least = math.ceil(self.samples / MOST_SHARDS)
            raise ValueError(
                f"samples would be cut into more than {MOST_SHARDS:,} shards: lower samples, or raise "
                f"shard_size to {least} or more, {MOST_SHARD:,} at most"
            )
        return self

    @model_validator(mode="after")
    def _one_recognizer_of_templates(self) -> Self:
        given = not self.generator.has_images or any(side.has_templates for side in self.gallery.sides)
        if given and len(self.faces.recognizers) > 1:
            raise ValueError(
                "templates in place of images or photos are of one recogniser: give one faces.recognizers"
            )
        return self

    @model_validator(mode="after")
    def _faces_of_samples(self) -> Self:
        if self.generator.has_images and self.faces.detector is None and self.faces.landmarks is None:
            raise ValueError("faces: give a detector, or the landmarks of the generator's frame")
        return self

    @model_validator(mode="after")
    def _detector_for_photos(self) -> Self:
        from_photos = any(side.has_photos for side in self.gallery.sides)
        if from_photos and self.gallery.detector and self.faces.detector is None:
            raise ValueError("gallery.detector is true, so faces.detector must be given")
        listed = any(side.has_attributes for side in self.gallery.sides)
        columns = (set(self.membership.strata) - {QUALITY}) | (set(self.membership.adjust) - BUILT_IN)
        if columns and self.gallery.attributes is None and not listed:
            raise ValueError("membership.strata or adjust names columns, so gallery.attributes must be given")
        if self.shard_size != "auto":
            least = self.generator.least_seconds(self.shard_size)
            if least > self.limits.shard_seconds / 2:
                raise ValueError(
                    f"at generator.rate a shard takes {least:,.0f} s, over half of limits.shard_seconds: "
                    "lower shard_size or raise that limit"
                )
        if "consensus" in self.membership.scores and len(self.faces.recognizers) < 2:
            raise ValueError("the score consensus needs two or more faces.recognizers")
        return self
