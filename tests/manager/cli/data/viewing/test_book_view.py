import io

from rich.console import Console

from manager.cli.data.viewing.book_view import BookView, view_of
from tests.support.market_items import START_NS
from tests.support.stream_writer import levels
from tickfleet.reading.book.book_state import NOT_JOINED
from tickfleet.reading.live_book import LiveBook

BIDS, ASKS = levels("99.5 4", "99 2", "98 1"), levels("100.25 1", "101 8", "102 2")


def shown(view: BookView, height: int = 24, width: int = 60) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    with console.capture() as captured:
        console.print(view)
    return [line.rstrip() for line in captured.get().splitlines()]


def test_a_ladder() -> None:
    assert shown(BookView("okx:BTC-USDT orderbook", "", BIDS, ASKS, START_NS, 7, 1)) == [
        "okx:BTC-USDT orderbook   VALID",
        f"   102  2  {'█' * 10}",
        f"   101  8  {'█' * 40}",
        f"100.25  1  {'█' * 5}",
        "── spread 0.75   mid 99.875 ──",
        f"  99.5  4  {'█' * 20}",
        f"    99  2  {'█' * 10}",
        f"    98  1  {'█' * 5}",
        "last change 2026-01-01 00:00:00.000Z   seq 7   joins 1",
    ]


def test_a_doubtful_book_has_no_prices_but_says_why() -> None:
    lines = shown(BookView("b", "feed [red]stale[/red]\x07", BIDS, ASKS, START_NS))
    assert lines[0] == "b   DOUBTFUL  feed [red]stale[/red]"
    assert "── not to be relied upon: what was known last ──" in lines
    assert not [line for line in lines if "mid" in line or "VALID" in line]


def test_before_it_is_joined() -> None:
    assert shown(BookView("b", NOT_JOINED, [], [])) == [
        f"b   SYNCING  {NOT_JOINED}",
        "── not to be relied upon: what was known last ──",
        "nothing received yet",
    ]


def test_an_empty_side() -> None:
    assert "── one side is empty ──" in shown(BookView("b", "", BIDS, [], START_NS))


def test_a_cheap_coin() -> None:
    lines = shown(BookView("b", "", levels("0.0000001 4"), levels("0.0000002 4"), START_NS))
    assert lines[2] == "── spread 0.0000001   mid 0.00000015 ──"


def test_a_small_window_shows_the_best_levels() -> None:
    lines = shown(BookView("b", "", BIDS, ASKS, START_NS), height=6)
    assert [line.split()[0] for line in lines[1:4]] == ["100.25", "──", "99.5"]


def test_a_narrow_book_view_wraps_the_whole_id_and_the_state() -> None:
    lines = shown(BookView("okx:1000000MOG-USDT-PERP orderbook", "", BIDS, ASKS, START_NS), height=10, width=16)
    assert [line.strip() for line in lines[:4]] == ["okx:1000000MOG-U", "SDT-PERP", "orderbook", "VALID"]
    assert [line.split()[0] for line in lines[4:7]] == ["100.25", "──", "99.5"]
    assert len(lines) == 8


def test_a_book_as_it_is_followed() -> None:
    assert view_of("b", LiveBook("okx:BTC-USDT", redis="redis://127.0.0.1:1"), 3) == BookView(
        "b", "Redis does not answer", [], []
    )
