import msgspec
import pytest
from hypothesis import given

from tests.support.strategies import events
from tickfleet.contract.events import (
    BookDelta,
    BookSnapshot,
    Candle,
    Event,
    FeedState,
    FeedStatus,
    Gap,
    Level,
    Ticker,
    Trade,
)

TAGS = {
    Trade: "trade",
    BookSnapshot: "book_snapshot",
    BookDelta: "book_delta",
    Ticker: "ticker",
    Candle: "candle",
    Gap: "gap",
    FeedStatus: "feed_status",
}


@pytest.mark.parametrize("event_type", TAGS)
def test_every_event_has_its_tag_and_its_times(event_type: type[Event]) -> None:
    config = event_type.__struct_config__

    assert (config.tag_field, config.tag, config.frozen) == ("type", TAGS[event_type], True)
    assert event_type.__struct_fields__[:2] == ("ts_event", "ts_recv")


@given(events)
def test_events_survive_json(event: Event) -> None:
    assert msgspec.json.decode(msgspec.json.encode(event), type=Event) == event


def test_a_level_is_a_pair() -> None:
    assert msgspec.json.encode(Level("42219.9", "1.5")) == b'["42219.9","1.5"]'
    assert msgspec.json.decode(b'["42219.9","1.5","0","44"]', type=Level) == Level("42219.9", "1.5")


def test_a_trade_is_live_unless_it_says_otherwise() -> None:
    assert Trade(1, 2, "3", "4", "5", "buy") == Trade(1, 2, "3", "4", "5", "buy", "live", None)


def test_the_states_of_a_feed() -> None:
    assert [state.value for state in FeedState] == ["connected", "disconnected", "stale", "resynced"]
