"""The contract as files: an AsyncAPI 3 document, complete in itself, and one JSON Schema per kind of value."""

import json
from typing import Any

from deploy.contract.channels import CHANNELS, Channel
from deploy.contract.messages import GENERAL, MESSAGES, Message
from deploy.contract.schemas import DIALECT, Schema

_RULES = """\
What tickfleet writes into Redis, for readers in any language. `reading.md` shows how to read it.

- An entry of a stream, and a hash, is field/value pairs, and every value is text. The payloads here are these pairs as
  an object of strings, the way a client library hands them out.
- An integer is its digits. Times in nanoseconds do not fit a JavaScript number: use `BigInt`, or keep the text.
- Prices and sizes (`format: decimal`) are the exchange's own digits: keep the text, or use a decimal type.
- A list is JSON in one field (`contentMediaType`, with its schema in `contentSchema`).
- A field that the exchange did not give is absent.
- Readers must skip fields and types that they do not know; a changed meaning comes under another prefix than `md:v1:`.
- Entry ids are `<ms>-<n>`, strictly rising, and made once per entry. For trades with numeric ids `n` is the trade's id.
- `x-redis` at a channel tells the type of the key, how many entries a stream keeps (about), and when a key expires."""


def files() -> dict[str, str]:
    """The text of each file, by its path under ``docs/``."""
    schemas = {f"schemas/{name}.json": _standalone(message) for name, message in MESSAGES.items()}
    documents = {"asyncapi.json": asyncapi(), **schemas}
    return {path: f"{json.dumps(content, indent=2, ensure_ascii=False)}\n" for path, content in documents.items()}


def _standalone(message: Message) -> Schema:
    return {"$schema": DIALECT, "title": message.title, **message.schema, **_examples(message)}


def _examples(message: Message) -> Schema:
    return {} if message.example is None else {"examples": [message.example]}


def asyncapi() -> dict[str, Any]:
    """The AsyncAPI document."""
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "tickfleet", "version": "1", "description": f"{_RULES}\n\n{GENERAL}"},
        "servers": {
            "redis": {
                "host": "127.0.0.1:6379",
                "protocol": "redis",
                "description": "`TICKFLEET_REDIS_URL`, or `[redis]` in the fleet file, names another one.",
            }
        },
        "channels": {name: _channel(channel) for name, channel in CHANNELS.items()},
        "operations": {f"write_{name}": _operation(name, channel) for name, channel in CHANNELS.items()},
        "components": {
            "messages": {name: _message(name, message) for name, message in MESSAGES.items()},
            "schemas": {name: {"title": message.title, **message.schema} for name, message in MESSAGES.items()},
        },
    }


def _channel(channel: Channel) -> dict[str, Any]:
    facts = {"type": channel.kind, "maxlen": channel.maxlen, "ttl_s": channel.ttl_s}
    parameters = {"parameters": channel.parameters} if channel.parameters else {}
    return {
        "address": channel.address,
        "description": channel.summary,
        **parameters,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in channel.messages},
        "bindings": {"redis": {}},  # AsyncAPI reserves the name and allows no content, hence x-redis
        "x-redis": {name: fact for name, fact in facts.items() if fact is not None},
    }


def _operation(name: str, channel: Channel) -> dict[str, Any]:
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{name}"},
        "messages": [{"$ref": f"#/channels/{name}/messages/{message}"} for message in channel.messages],
    }


def _message(name: str, message: Message) -> dict[str, Any]:
    examples = {} if message.example is None else {"examples": [{"payload": message.example}]}
    return {
        "name": name,
        "title": message.title,
        "payload": {"$ref": f"#/components/schemas/{name}"},
        **examples,
    }
