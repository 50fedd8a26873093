from collector_worker.connection.resubscriptions import Resubscriptions
from collector_worker.exchanges.adapter import Channel
from tickfleet.contract.identity import DataType

BOOKS, TICKERS = Channel(DataType.ORDERBOOK, "", "books"), Channel(DataType.TICKER, "", "tickers")


def asked_s(again: Resubscriptions, until_s: int, begin_s: int = 0) -> list[int]:
    """When a channel is asked for that is in trouble again each time."""
    times = []
    for now_s in range(begin_s, until_s):
        again.ask([BOOKS], float(now_s))
        if again.due(float(now_s)) == [BOOKS]:
            times.append(now_s)
    return times


def test_the_first_time_at_once_then_ever_later() -> None:
    assert asked_s(Resubscriptions(1.0, 60.0), 300) == [0, 3, 8, 17, 34, 67, 128, 189, 250]


def test_after_a_calm_time_at_once_again() -> None:
    again = Resubscriptions(1.0, 60.0)
    asked_s(again, 300)

    assert again.due(311.0) == [BOOKS]
    assert asked_s(again, 450, begin_s=440) == [440, 443, 448]


def test_a_channel_that_waits_is_not_asked_for_twice() -> None:
    again = Resubscriptions(1.0, 60.0)
    again.ask([BOOKS], 0.0)
    again.ask([BOOKS, TICKERS], 0.0)

    assert again.waiting
    assert [again.due(now_s) for now_s in (0.0, 1.9, 2.0)] == [[BOOKS], [], [TICKERS]]
    assert not again.waiting


def test_a_refused_channel_is_asked_for_after_a_pause() -> None:
    again = Resubscriptions(1.0, 60.0)
    again.refused([BOOKS], 0.0)

    assert [again.due(now_s) for now_s in (0.0, 0.9, 1.0)] == [[], [], [BOOKS]]


def test_a_refusal_that_names_none_means_the_one_that_is_not_confirmed() -> None:
    again = Resubscriptions(1.0, 60.0)
    again.refused([BOOKS, TICKERS], 0.0)
    again.confirmed(TICKERS)

    assert again.due(1.0) == [BOOKS]


def test_a_confirmation_does_not_undo_another_reason_to_ask_again() -> None:
    again = Resubscriptions(1.0, 60.0)
    again.ask([BOOKS], 0.0)
    again.confirmed(BOOKS)

    assert again.due(0.0) == [BOOKS]
