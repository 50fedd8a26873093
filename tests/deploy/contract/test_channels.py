from deploy.contract.channels import CHANNELS, PARAMETERS
from deploy.contract.messages import MESSAGES
from tickfleet.contract import keys

NOT_FOR_READERS = {
    "rate_limiter", "ban",  # how collectors share an exchange's limits: theirs alone
    "FLEET_PROBE", "fleet_probe",  # never exist: a write to it that changes nothing shows whether Redis takes writes
}  # fmt: skip
WHOLE_KEYS = {
    "stream", "book", "heartbeat", "instrument", "writer", "coverage", "dead", "acknowledged", "position",
    "FLEET_EVENTS", "FLEET_DESIRED", "FLEET_MANAGER", "FLEET_LEASE", "FLEET_FIGURES", "FLEET_WRITTEN",
}  # fmt: skip
HELPERS = {"streams_like", "read_stream", "stream_of_ledger", "is_reserved"}


def test_no_key_is_forgotten() -> None:
    """A new key belongs into the contract, or is named here with the reason why not."""
    functions = {
        name for name, part in vars(keys).items()
        if callable(part) and getattr(part, "__module__", "") == keys.__name__ and not name.startswith("_")
    }  # fmt: skip
    constants = {name for name, part in vars(keys).items() if isinstance(part, str) and part.startswith("md:v1:fleet:")}
    assert functions | constants == WHOLE_KEYS | NOT_FOR_READERS | HELPERS


def test_the_addresses() -> None:
    assert {name: (channel.address, channel.kind) for name, channel in CHANNELS.items()} == {
        "trade": ("md:v1:{collector}:trade", "stream"),
        "orderbook": ("md:v1:{collector}:orderbook", "stream"),
        "ticker": ("md:v1:{collector}:ticker", "stream"),
        "candles": ("md:v1:{collector}:candles:{interval}", "stream"),
        "coverage": ("md:v1:{collector}:coverage", "stream"),
        "book": ("md:v1:{collector}:book", "hash"),
        "heartbeat": ("md:v1:{collector}:heartbeat", "hash"),
        "instrument": ("md:v1:{collector}:instrument", "hash"),
        "writer": ("md:v1:{collector}:writer", "string"),
        "dead": ("md:v1:{collector}:dead:{group}", "stream"),
        "acknowledged": ("md:v1:{collector}:acknowledged:{group}", "hash"),
        "position": ("md:v1:reader:{reader}:position", "hash"),
        "fleet_events": ("md:v1:fleet:events", "stream"),
        "fleet_manager": ("md:v1:fleet:manager", "hash"),
        "fleet_figures": ("md:v1:fleet:figures", "string"),
        "fleet_desired": ("md:v1:fleet:desired", "hash"),
        "fleet_written": ("md:v1:fleet:written", "string"),
        "fleet_lease": ("md:v1:fleet:lease", "string"),
    }


def test_every_parameter_and_message_is_explained_and_used() -> None:
    assert {name for channel in CHANNELS.values() for name in channel.parameters} == set(PARAMETERS)
    assert {name for channel in CHANNELS.values() for name in channel.messages} == set(MESSAGES)
    assert [name for name, channel in CHANNELS.items() if not channel.summary] == []
