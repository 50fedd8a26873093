"""JSON Schemas from the structs, in the form that their values have in Redis.

A stream entry and a hash are field/value pairs, and every value is text: an integer is its digits, a list is JSON in
one field (``contentMediaType`` and ``contentSchema``), and what is ``None`` is absent. Only keywords are used that mean
the same in draft-07, which AsyncAPI builds on, and in 2020-12; to draft-07 ``contentSchema`` is a mere note.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from deploy.contract.docstrings import description

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_INTEGER = r"^-?[0-9]+$"
_NATURAL = r"^[0-9]+$"
_NUMBER = r"^-?[0-9]+(\.[0-9]+)?(e[-+]?[0-9]+)?$"


def json_schema(kind: Any) -> Schema:
    """The schema of a type as JSON, complete in itself, with the docstrings' words at each field."""
    (schema,), components = msgspec.json.schema_components((kind,), ref_template="{name}")
    whole = _inlined(schema, components)
    if not isinstance(whole, dict):
        raise TypeError(f"{kind} has no schema of its own")
    return whole


def _inlined(node: Any, components: Mapping[str, Any]) -> Any:
    """With the components themselves in place of the references to them."""
    if isinstance(node, list):
        return [_inlined(part, components) for part in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        node = {**_described(components[node["$ref"]]), **{name: node[name] for name in node if name != "$ref"}}
    return {name: _inlined(part, components) for name, part in node.items()}


def _described(component: Mapping[str, Any]) -> Schema:
    """A component with its docstring in its own place and at its properties."""
    docstring = description(component.get("description"))
    found = {name: part for name, part in component.items() if name not in ("title", "description")}
    if docstring.whole:
        found = {"description": docstring.whole, **found}
    if "properties" in found:
        found["properties"] = {
            name: {**part, "description": docstring.fields[name]} if name in docstring.fields else part
            for name, part in found["properties"].items()
        }
    return found


def flat_schema(
    kind: Any, *, at_times: tuple[str, ...] = (), without: tuple[str, ...] = (), summary: str | None = None
) -> Schema:
    """The schema of a struct as the fields of an entry or a hash.

    Args:
        kind: The struct.
        summary: What it is, where that is not told by its docstring.
        at_times: Fields that are absent at times although they are never ``None``.
        without: Fields that do not stand in Redis.
    """
    whole = json_schema(kind)
    fields = {name: part for name, part in whole["properties"].items() if name not in without}
    always = [name for name, part in fields.items() if not _may_be_none(part) and name not in at_times]
    summary = whole.get("description", "") if summary is None else summary
    return flat({name: as_text(part) for name, part in fields.items()}, always, summary)


def flat(fields: Mapping[str, Schema], always: list[str], summary: str = "") -> Schema:
    """Fields that are all text, and others that later versions may add."""
    return {
        **({"description": summary} if summary else {}),
        "type": "object",
        "properties": dict(fields),
        "required": always,
        "additionalProperties": {"type": "string"},
    }


def _options(part: Schema) -> list[Schema]:
    return [option for option in part.get("anyOf", [part]) if option.get("type") != "null"]


def _may_be_none(part: Schema) -> bool:
    return len(_options(part)) < len(part.get("anyOf", [part]))


def as_text(part: Schema) -> Schema:
    """The schema of the text that means a value."""
    (option,) = _options(part)  # a field that may be of two kinds could not be told from its text
    described = {"description": part["description"]} if "description" in part else {}
    described = described or {name: text for name, text in option.items() if name == "description"}
    content = {name: value for name, value in option.items() if name not in ("description", "default")}
    if "enum" in option:
        return {**described, "type": "string", "enum": option["enum"]}
    match option["type"]:
        case "string":
            return {**described, **content}
        case "integer":
            return {**described, "type": "string", "pattern": _NATURAL if option.get("minimum") == 0 else _INTEGER}
        case "number":
            return {**described, "type": "string", "pattern": _NUMBER}
        case "boolean":
            return {**described, "type": "string", "enum": ["0", "1"]}
        case _:
            return {**described, **json_text(content)}


def json_text(content: Schema) -> Schema:
    """The schema of a text that holds JSON."""
    return {"type": "string", "contentMediaType": "application/json", "contentSchema": content}


def text(meaning: str, **more: Any) -> Schema:
    """The schema of a text."""
    return {"description": meaning, "type": "string", **more}


def integer(meaning: str) -> Schema:
    """The schema of an integer's text."""
    return text(meaning, pattern=_INTEGER)
