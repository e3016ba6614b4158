"""What a later JSON Schema breaks for those who rely on an earlier one.

Two directions: of a file that people write, whatever was accepted must be; of a file that idleak writes,
whatever a reader was promised must be there, in one of the forms that were promised. More properties are no
matter to a reader.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Schema = Mapping[str, Any]
LEAST = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
MOST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")


def broken_for_writers(old: Schema, new: Schema) -> list[str]:
    """What a file that `old` accepts may hold and `new` refuses."""
    return list(_Narrowing(old, new, more_properties=False).of(old, new, "$"))


def broken_for_readers(old: Schema, new: Schema) -> list[str]:
    """What a file by `new` may hold or lack against what `old` promised."""
    narrowed = _Narrowing(new, old, more_properties=True).of(new, old, "$")
    return [*narrowed, *_Narrowing(old, new, more_properties=False, only_removed=True).of(old, new, "$")]


@dataclass(frozen=True)
class _Narrowing:
    """Where `narrow` refuses what `wide` accepts. more_properties: those that only `wide` has are no matter.
    only_removed: nothing but them is."""

    wide_root: Schema
    narrow_root: Schema
    more_properties: bool
    only_removed: bool = False
    _seen: set[tuple[str, str]] = field(default_factory=set)

    def of(self, wide: Schema, narrow: Schema, path: str) -> Iterator[str]:
        pair = (str(wide.get("$ref")), str(narrow.get("$ref")))
        if "$ref" in wide and "$ref" in narrow:
            if pair in self._seen:
                return
            self._seen.add(pair)
        wide, narrow = resolved(wide, self.wide_root), resolved(narrow, self.narrow_root)
        forms, allowed = _forms(wide), _forms(narrow)
        if len(forms) > 1 or len(allowed) > 1:
            yield from self._of_forms(forms, allowed, path)
            return
        if not self.only_removed:
            yield from _values(wide, narrow, path)
        yield from self._of_properties(wide, narrow, path)
        for key in ("items", "additionalProperties"):
            if isinstance(wide.get(key), Mapping) and isinstance(narrow.get(key), Mapping):
                yield from self.of(wide[key], narrow[key], f"{path}.{key}")
        pairs = zip(wide.get("prefixItems", ()), narrow.get("prefixItems", ()), strict=False)
        for place, (first, second) in enumerate(pairs):
            yield from self.of(first, second, f"{path}[{place}]")

    def _of_forms(self, wide: Sequence[Schema], narrow: Sequence[Schema], path: str) -> Iterator[str]:
        for form in wide:
            name = _form_name(resolved(form, self.wide_root))
            same = [other for other in narrow if _form_name(resolved(other, self.narrow_root)) == name]
            if not same:
                yield f"{path}: the form {name} is gone"
                continue
            problems = [list(self.of(form, other, f"{path}<{name}>")) for other in same]
            yield from min(problems, key=len)

    def _of_properties(self, wide: Schema, narrow: Schema, path: str) -> Iterator[str]:
        properties, known = wide.get("properties", {}), narrow.get("properties", {})
        if not self.only_removed:
            for name in sorted(set(narrow.get("required", ())) - set(wide.get("required", ()))):
                yield f"{path}.{name}: required by one alone"
        for name, schema in properties.items():
            if name in known:
                yield from self.of(schema, known[name], f"{path}.{name}")
            elif not self.more_properties and narrow.get("additionalProperties") is False:
                yield f"{path}.{name}: removed"


def resolved(schema: Schema, root: Schema) -> Schema:
    """The schema that a `$ref` into `$defs` names, with what stands beside the reference."""
    while "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        schema = {**root["$defs"][name], **{key: value for key, value in schema.items() if key != "$ref"}}
    return schema


def _forms(schema: Schema) -> list[Schema]:
    """The alternatives of a union; the schema itself where it is none. Unions of unions are one."""
    for key in ("anyOf", "oneOf"):
        alternatives = schema.get(key)
        if alternatives and not all(part.keys() == {"required"} for part in alternatives):
            return [form for part in alternatives for form in _forms(part)]
    if isinstance(schema.get("type"), list):
        return [{**schema, "type": kind} for kind in schema["type"]]
    return [schema]


def _form_name(schema: Schema) -> str:
    """By which alternatives are matched: the constant `kind` of an object, else the type."""
    kind = schema.get("properties", {}).get("kind", {}).get("const")
    return str(kind or schema.get("type") or ("value" if {"const", "enum"} & schema.keys() else "anything"))


def _values(wide: Schema, narrow: Schema, path: str) -> Iterator[str]:
    accepted, allowed = _types(wide), _types(narrow)
    if missing := [kind for kind in accepted if kind not in allowed]:
        yield f"{path}: {', '.join(missing)} refused"
    values, known = _listed(wide), _listed(narrow)
    if known is not None:
        if values is None:
            yield f"{path}: only {known} accepted"
        elif gone := [value for value in values if value not in known]:
            yield f"{path}: {gone} refused"
    for key in (*LEAST, *MOST):
        if key in narrow and (key not in wide or _is_stricter(key, wide[key], narrow[key])):
            yield f"{path}: {key} {narrow[key]}"
    for key in ("pattern", "format", "multipleOf"):
        if key in narrow and narrow[key] != wide.get(key):
            yield f"{path}: {key} {narrow[key]}"


def _is_stricter(key: str, wide: float, narrow: float) -> bool:
    return narrow > wide if key in LEAST else narrow < wide


def _types(schema: Schema) -> Sequence[str]:
    kinds = schema.get("type", TYPES if not {"const", "enum"} & schema.keys() else ())
    listed = [kinds] if isinstance(kinds, str) else list(kinds)
    return [*listed, "integer"] if "number" in listed else listed


def _listed(schema: Schema) -> list[Any] | None:
    return [schema["const"]] if "const" in schema else schema.get("enum")
