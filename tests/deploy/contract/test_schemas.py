from enum import Enum
from typing import Annotated

import pytest
from msgspec import Meta, Struct

from deploy.contract.schemas import flat_schema, json_schema


class Colour(Enum):
    """A colour."""

    RED = "red"


class Point(Struct, array_like=True):
    """Two numbers."""

    x: int
    y: int


class Thing(Struct, kw_only=True):
    """A thing.

    Attributes:
        count: How many.
        points: Where.
    """

    count: Annotated[int, Meta(ge=0)]
    height: float
    colour: Colour
    points: list[Point] = []
    loud: bool = False
    name: Annotated[str, Meta(description="Its name.")] | None = None
    note: str = ""
    hidden: int = 0


POINTS = {
    "type": "array",
    "items": {
        "description": "Two numbers.",
        "type": "array",
        "prefixItems": [{"type": "integer"}, {"type": "integer"}],
        "minItems": 2,
    },
}


def test_a_struct_as_fields_of_text() -> None:
    assert flat_schema(Thing, at_times=("note",), without=("hidden",)) == {
        "description": "A thing.",
        "type": "object",
        "properties": {
            "count": {"description": "How many.", "type": "string", "pattern": "^[0-9]+$"},
            "height": {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?(e[-+]?[0-9]+)?$"},
            "colour": {"description": "A colour.", "type": "string", "enum": ["red"]},
            "points": {
                "description": "Where.",
                "type": "string",
                "contentMediaType": "application/json",
                "contentSchema": POINTS,
            },
            "loud": {"type": "string", "enum": ["0", "1"]},
            "name": {"description": "Its name.", "type": "string"},
            "note": {"type": "string"},
        },
        "required": ["count", "height", "colour", "points", "loud"],
        "additionalProperties": {"type": "string"},
    }


def test_a_struct_as_json_is_complete_in_itself() -> None:
    found = json_schema(Thing)["properties"]
    assert found["points"] == {**POINTS, "default": [], "description": "Where."}
    assert found["colour"] == {"description": "A colour.", "enum": ["red"]}


def test_what_is_no_object_has_no_fields() -> None:
    with pytest.raises(KeyError):
        flat_schema(Point)
