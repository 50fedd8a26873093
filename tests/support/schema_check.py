"""What a schema of the contract says of a value, also of the JSON inside its texts, which validators leave alone."""

import json
from typing import Any

from jsonschema import Draft202012Validator


def faults(schema: dict[str, Any], value: Any) -> list[str]:
    """Where and why the value is not one that the schema allows; empty: it is."""
    found = [f"{error.json_path}: {error.message}" for error in Draft202012Validator(schema).iter_errors(value)]
    if isinstance(value, dict):
        for name, part in value.items():
            of_field = schema.get("properties", {}).get(name, schema.get("additionalProperties", {}))
            if "contentSchema" in of_field:
                found += [f"{name}: {fault}" for fault in _faults_in_text(of_field["contentSchema"], part)]
    return found


def _faults_in_text(content: dict[str, Any], text: str) -> list[str]:
    try:
        return faults(content, json.loads(text))
    except (ValueError, TypeError) as error:
        return [f"no JSON: {error}"]
