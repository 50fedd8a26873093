import json

import pytest
from jsonschema import Draft7Validator, Draft202012Validator

from deploy.contract.__main__ import DOCS
from deploy.contract.document import asyncapi, files
from deploy.contract.messages import MESSAGES
from tests.support.node_packages import folder_with

SPECIFICATION = {"@asyncapi/specs": "6.11.1"}


def test_the_files_are_what_the_code_says() -> None:
    """``make contract`` writes them."""
    found = {path.relative_to(DOCS).as_posix() for path in (DOCS / "schemas").iterdir()} | {"asyncapi.json"}
    assert {path: (DOCS / path).read_text(encoding="utf-8") for path in found} == files()


@pytest.mark.parametrize("name", MESSAGES)
def test_a_schema_is_one_in_both_dialects(name: str) -> None:
    """2020-12 is the files' own; AsyncAPI builds on draft-07."""
    Draft202012Validator.check_schema(json.loads(files()[f"schemas/{name}.json"]))
    Draft7Validator.check_schema(asyncapi()["components"]["schemas"][name])


def test_the_document_is_asyncapi() -> None:
    folder = folder_with(SPECIFICATION) / "node_modules" / "@asyncapi" / "specs" / "schemas"
    official = json.loads((folder / "3.0.0-without-$id.json").read_text(encoding="utf-8"))
    document = asyncapi()
    assert [error.message for error in Draft7Validator(official).iter_errors(document)] == []
    document["channels"]["trade"]["adress"] = document["channels"]["trade"].pop("address")
    assert [error.message for error in Draft7Validator(official).iter_errors(document)] != []


def test_every_reference_leads_somewhere() -> None:
    document = asyncapi()
    references = set[str]()

    def collect(node: object) -> None:
        if isinstance(node, dict):
            references.update(part for name, part in node.items() if name == "$ref")
        for part in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            collect(part)

    collect(document)
    assert len(references) > len(MESSAGES)
    for reference in references:
        place = document
        for name in reference.removeprefix("#/").split("/"):
            place = place[name]
