"""How a section of the file is declared: once, for the reader and for JSON Schema.

A section is a dataclass; each of its keys says of what kind its value is, and what it means::

    @section
    class LimitsEntry:
        max_open_backfills: int | None = key(whole(1, 100), "Incomplete backfills of the team.")

pydantic's core checks a file's data and builds the dataclasses. It gets its schema as plain data, made when
the first file is read: one class of ``pydantic.BaseModel`` alone would double the cost of a cold start.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, TypeVar, dataclass_transform

from pydantic_core import CoreSchema, SchemaValidator, core_schema

from reconciler.config.nodes import Items, Text
from reconciler.config.rules import BrokenRule
from reconciler.config.values import Reads

T = TypeVar("T")
Kind = Any
"""What may stand at a key: ``Reads``, one of the classes below, or a section."""


@dataclass(frozen=True, slots=True, eq=False)
class ListOf:
    item: Kind


@dataclass(frozen=True, slots=True, eq=False)
class MappingOf:
    """A mapping whose keys the user chooses."""

    key: Reads
    value: Kind


@dataclass(frozen=True, slots=True, eq=False)
class OneOrMore:
    """One value, or a list of such; it becomes a list."""

    item: Reads

    def read(self, value: object, as_list: Callable[[object], object]) -> object:
        if isinstance(value, Items) and not value:
            raise BrokenRule("BF025", "is an empty list", "List one at least, or remove the key.")
        return as_list(value) if isinstance(value, Items) else [self.item.read(value)]


@dataclass(frozen=True, slots=True, eq=False)
class Shorthand:
    """A section that may also be written as one text; ``shapes`` say of which forms that is."""

    section: type
    from_text: Callable[[Text], object]
    shapes: tuple[Mapping[str, Any], ...]

    def read(self, value: object, as_mapping: Callable[[object], object]) -> object:
        return self.from_text(value) if isinstance(value, Text) else as_mapping(value)


def key(kind: Kind, description: str = "") -> Any:
    """Declare a key that may be absent; it is ``None`` then."""
    return field(default=None, metadata={"kind": kind, "description": description})


def required(kind: Kind, description: str) -> Any:
    """Declare a key that must be there."""
    return field(metadata={"kind": kind, "description": description})


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(key, required))
def section(declared: type[T]) -> type[T]:
    """Make a dataclass of a section; without what nobody calls, since every start makes them all."""
    return dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)(declared)


def keys_of(declared: type) -> list[str]:
    return [entry.name for entry in fields(declared)]


def reader(root: type) -> SchemaValidator:
    """Return what turns data into the section. It raises ``pydantic_core.ValidationError``."""
    return SchemaValidator(_core(root))


def _core(kind: Kind) -> CoreSchema:
    match kind:
        case Reads():
            return core_schema.no_info_plain_validator_function(kind.read)
        case ListOf():
            return core_schema.list_schema(_core(kind.item), strict=True)
        case MappingOf():
            return core_schema.dict_schema(_core(kind.key), _core(kind.value), strict=True)
        case OneOrMore():
            return core_schema.no_info_wrap_validator_function(kind.read, _core(ListOf(kind.item)))
        case Shorthand():
            return core_schema.no_info_wrap_validator_function(kind.read, _core(kind.section))
    return _core_section(kind)


def _core_section(declared: type) -> CoreSchema:
    entries = [core_schema.dataclass_field(entry.name, _core_entry(entry)) for entry in fields(declared)]
    arguments = core_schema.dataclass_args_schema(declared.__name__, entries, extra_behavior="forbid")
    has_check = hasattr(declared, "__post_init__")
    return core_schema.dataclass_schema(
        declared, arguments, keys_of(declared), slots=True, post_init=has_check
    )


def _core_entry(entry: Any) -> CoreSchema:
    value = _core(entry.metadata["kind"])
    return value if entry.default is MISSING else core_schema.with_default_schema(value, default=None)


def json_schema_of(root: type) -> dict[str, Any]:
    """Return the JSON Schema of a section; those inside it are in ``$defs``, without ``Entry``."""
    definitions: dict[str, Any] = {}
    return {**_object(root, definitions), "$defs": definitions}


def _shape(kind: Kind, definitions: dict[str, Any]) -> dict[str, Any]:
    match kind:
        case Reads():
            return dict(kind.shape)
        case ListOf():
            return {"type": "array", "items": _shape(kind.item, definitions)}
        case MappingOf():
            values = {kind.key.shape["pattern"]: _shape(kind.value, definitions)}
            return {"type": "object", "patternProperties": values, "additionalProperties": False}
        case OneOrMore():
            several = {**_shape(ListOf(kind.item), definitions), "minItems": 1}
            return {"anyOf": [dict(kind.item.shape), several]}
        case Shorthand():
            return {"anyOf": [*kind.shapes, _shape(kind.section, definitions)]}
    name = kind.__name__.removesuffix("Entry")
    if name not in definitions:
        definitions[name] = {"title": name, **_object(kind, definitions)}
    return {"$ref": f"#/$defs/{name}"}


def _object(declared: type, definitions: dict[str, Any]) -> dict[str, Any]:
    shape: dict[str, Any] = {"type": "object", "description": declared.__doc__, "additionalProperties": False}
    shape["properties"] = {entry.name: _property(entry, definitions) for entry in fields(declared)}
    needed = [entry.name for entry in fields(declared) if entry.default is MISSING]
    return {**shape, "required": needed} if needed else shape


def _property(entry: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    shape = _shape(entry.metadata["kind"], definitions)
    description = entry.metadata["description"]
    return {**shape, "description": description} if description else shape
