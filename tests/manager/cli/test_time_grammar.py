"""What one command takes for a time every command takes, and a reader of the streams as well."""

import json

import pytest

from manager.model.journal_entries import JournalEntry, What, to_fields
from tests.manager.cli.redis_stage import RedisStage
from tests.support.market_items import START_NS
from tests.support.stream_writer import BTC, write_trades
from tickfleet.contract import keys
from tickfleet.reading.subscriber import Subscriber

FORMS = [
    "10m", "-10m", "2h30m", "-1d12h", "45s", "2025-12-31T23:00", "2025-12-31T23:00:00.5Z", "2026-01-01 00:00+02:00",
    "1767222000", "1767222000000", "1767222000000000", "1767222000000000000", "1767222000000-17", "now", "new",
    "oldest",
]  # fmt: skip
NONE = ["yesterday", "10 minutes", "30m2h", "10:00", "newest", "2026-02-30", "5", "-5", "100"]
COMMANDS = [
    ("coverage", str(BTC), "--from"),
    ("events", "--since"),
    ("export", str(BTC), "trade", "FILE", "--force", "--from"),
    ("tail", str(BTC), "trade", "--count", "1", "--since"),
    ("why", str(BTC), "--since"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_every_command_takes_every_form(command: tuple[str, ...], streams: RedisStage) -> None:
    write_trades(streams.client, 1, 3)
    arguments = [str(streams.folder / "x.csv") if word == "FILE" else word for word in command]
    forms = FORMS if command[0] != "tail" else ["oldest"]  # else it would wait for what comes
    for text in forms:
        result = streams.run(*arguments, text)
        refused = "is not a time" in result.stderr or result.stderr.startswith("manager-cli: --from")
        assert not refused or (text in ("now", "new") and command[0] == "export"), (text, result.stderr)
    for text in NONE:
        result = streams.run(*arguments, text)
        assert (result.exit_code, result.stdout) == (2, ""), text
        assert result.stderr.startswith(f"manager-cli: {text!r} is not a time"), result.stderr


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
@pytest.mark.parametrize("text", ["2026-01-01T00:02", "1767225900", "1767225900000"])
def test_no_command_begins_at_a_time_that_has_not_come(
    command: tuple[str, ...], text: str, streams: RedisStage
) -> None:
    arguments = [str(streams.folder / "x.csv") if word == "FILE" else word for word in command]
    result = streams.run(*arguments, text)
    assert (result.exit_code, result.stdout) == (2, "")
    now = "it is 2026-01-01 00:00:00.000Z now"
    assert result.stderr == f"manager-cli: {command[-1]} {text}: that time has not come yet, {now}\n"


async def test_so_does_a_reader() -> None:
    for text in FORMS:
        Subscriber(str(BTC), "trade", start=text)


def test_a_duration_without_a_sign_is_as_long_ago_as_with_one(streams: RedisStage) -> None:
    for minutes in (15, 5):
        at_ns = START_NS - minutes * 60 * 10**9
        told = JournalEntry(at_ns=at_ns, who="manager", what=What.ACTION, collector=str(BTC), why=f"{minutes}")
        streams.client.xadd(keys.FLEET_EVENTS, to_fields(told))
    for text in ("10m", "-10m", "2025-12-31T23:50", "1767225000"):
        (line,) = streams.run("events", "--since", text, "--json").stdout.splitlines()
        assert json.loads(line)["why"] == "5"
        assert [
            one["why"] for one in json.loads(streams.run("why", str(BTC), "--since", text, "--json").stdout)["events"]
        ] == ["5"]
