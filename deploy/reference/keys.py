"""The keys of a table of the fleet file, as its struct has them: type, default, bounds, meaning."""

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from deploy.contract.docstrings import description


class Key(Struct, frozen=True):
    """One key, in words.

    Attributes:
        default: As it would be written in the file; empty where there is none.
        bounds: What a number may be; empty for anything else.
    """

    name: str
    type: str
    default: str
    bounds: str
    meaning: str


def keys_of(struct: type[Struct], *, documented_by: type | None = None, bounds_of: type | None = None) -> list[Key]:
    """The keys of a struct that the file decodes into.

    Args:
        struct: Whose fields are the keys.
        documented_by: The class that has their defaults and says what they mean, where that is another.
        bounds_of: The class that has their bounds, where that is another.
    """
    source = documented_by or struct
    types, bounded = (
        get_type_hints(struct, include_extras=True),
        get_type_hints(bounds_of or struct, include_extras=True),
    )
    defaults = {field.name: default_of(field) for field in msgspec.structs.fields(source)}
    texts = _texts(source)
    return [
        Key(name, _type(types[name]), written(defaults[name]), _bounds(bounded[name]), texts.get(name, ""))
        for name in struct.__struct_fields__
        if not (isinstance(types[name], type) and issubclass(types[name], Struct))  # a table of its own
    ]


def default_of(field: msgspec.structs.FieldInfo) -> Any:
    """What a field is where the file says nothing; None where it must, or where something else follows from that."""
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return None if field.default in (msgspec.NODEFAULT, UNSET) else field.default


def written(value: Any) -> str:
    """A value as TOML has it; empty for None."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{name} = {written(each)}" for name, each in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(written, value))}]"
    return "" if value is None else msgspec.json.encode(value).decode()


def _texts(source: type) -> dict[str, str]:
    texts: dict[str, str] = {}
    for each in reversed(source.__mro__):
        texts |= description(each.__doc__).fields
    return texts


_NAMES = {bool: "`true` or `false`", int: "whole number", float: "number", str: "text"}


def _type(annotation: Any) -> str:
    (plain,) = (each for each in _choices(annotation) if each not in (UnsetType, type(None)))
    if get_origin(plain) is Annotated:
        plain = get_args(plain)[0]
    if get_origin(plain) is tuple:
        return f"list of {_type(get_args(plain)[0])}s"
    if get_origin(plain) is dict:
        return "table of texts"
    return "text" if issubclass(plain, Enum) else _NAMES[plain]


def _choices(annotation: Any) -> Iterator[Any]:
    """The members of a union; of anything else itself."""
    if get_origin(annotation) in (Annotated, tuple, dict) or isinstance(annotation, type):
        yield annotation
    else:
        yield from get_args(annotation)


_SIGNS = (("ge", "at least"), ("gt", "above"), ("le", "at most"), ("lt", "below"))


def _bounds(annotation: Any) -> str:
    parts = []
    for each in _choices(annotation):
        for meta in get_args(each)[1:] if get_origin(each) is Annotated else ():
            if isinstance(meta, Meta):
                found = {sign: getattr(meta, sign) for sign, _ in _SIGNS} | (meta.extra or {})
                parts += [f"{meaning} {found[sign]:,}" for sign, meaning in _SIGNS if found[sign] is not None]
    return ", ".join(parts)
