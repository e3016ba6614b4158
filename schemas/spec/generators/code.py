"""What all kinds of generators share that are code."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from schemas.spec.generators.base import Generator, Trust


class CodeGenerator(Generator):
    """A generator whose loading runs code that came with it."""

    is_code: ClassVar[bool] = True
    code_paths: ClassVar[tuple[str, ...]] = ("path",)
    """The fields that name files or folders of code."""

    trust: Trust = Field((), description="`sha256:…` of all its code, as `idleak inspect` prints them")
