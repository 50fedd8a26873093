"""The page ``contract.md``: its text is written by hand, its tables are made from the channels and the messages."""

import re
from collections.abc import Callable, Iterable, Sequence

from deploy.contract.channels import CHANNELS, Channel
from deploy.contract.messages import GENERAL, MESSAGES, Message
from deploy.contract.schemas import Schema

_PLACE = re.compile(r"^(?P<begin><!-- made: (?P<name>\w+) -->\n)(.*?)(?P<end>^<!-- end -->$)", re.MULTILINE | re.DOTALL)
_EXAMPLES = {"{collector}": "{okx:BTC-USDT}", "{interval}": "1m", "{group}": "GROUP", "{reader}": "NAME"}
_MARKET_DATA = ("trade", "book_snapshot", "book_delta", "ticker", "candle", "gap", "feed_status")


def with_tables(page: str) -> str:
    """The page with each table, as it is now, between the comments that name it."""
    return _PLACE.sub(lambda place: f"{place['begin']}\n{_PARTS[place['name']]()}\n{place['end']}", page)


def _keys() -> str:
    rows = (_key_row(channel) for channel in CHANNELS.values())
    return _table(("key", "type", "kept", "what"), rows)


def _key_row(channel: Channel) -> tuple[str, str, str, str]:
    key = channel.address
    for parameter, example in _EXAMPLES.items():
        key = key.replace(parameter, example)
    kept = f"about {channel.maxlen:,} entries" if channel.maxlen else ""
    kept = f"{channel.ttl_s:g} s" if channel.ttl_s else kept
    holds = ", ".join(f"[{name}](#{_anchor(MESSAGES[name])})" for name in channel.messages)
    return f"`{key}`", channel.kind, kept, f"{_one_line(channel.summary)} Holds: {holds}."


def _entries() -> str:
    return f"{GENERAL}\n\n" + "\n".join(_section(name) for name in _MARKET_DATA)


def _others() -> str:
    return "\n".join(_section(name) for name in MESSAGES if name not in _MARKET_DATA)


def _section(name: str) -> str:
    message = MESSAGES[name]
    head = f"### {message.title}\n\n{message.schema.get('description', '').strip()}\n"
    fields: dict[str, Schema] = message.schema.get("properties", {})
    always = message.schema.get("required", [])
    rows = [
        (f"`{name}`", _form(part), "" if name in always else "at times", _meaning(part))
        for name, part in fields.items()
    ]
    table = _table(("field", "form", "absent", "meaning"), rows) + "\n" if rows else ""
    return f"{head}\n{table}Schema: [`schemas/{name}.json`](schemas/{name}.json)\n"


def _form(part: Schema) -> str:
    if "enum" in part:
        return " ".join(f"`{value}`" for value in part["enum"])
    if "const" in part:
        return f"`{part['const']}`"
    if "contentSchema" in part or part.get("type") != "string":
        return "JSON"
    pattern = part.get("pattern", ".*")
    if re.fullmatch(pattern, "12") and not re.fullmatch(pattern, "x"):
        return "number" if re.fullmatch(pattern, "1.5") else "integer"
    return str(part.get("format", "text"))


def _meaning(part: Schema) -> str:
    return _one_line(str(part.get("description", "")))


def _one_line(text: str) -> str:
    """As a cell of a table."""
    return " ".join(text.split()).replace("|", r"\|")


def _anchor(message: Message) -> str:
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", message.title).strip().lower())


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "".join(f"| {' | '.join(line)} |\n" for line in (head, ["---" for _ in head], *rows))


_PARTS: dict[str, Callable[[], str]] = {"keys": _keys, "entries": _entries, "others": _others}
