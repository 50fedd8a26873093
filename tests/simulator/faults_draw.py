"""Schedules of faults drawn by chance, the same for the same seed. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from random import Random
from typing import NamedTuple, get_args

from tests.simulator.faults import (
    KINDS,
    SURVIVABLE,
    TYPES,
    Fault,
    Malformation,
    Novelty,
    Schedule,
    SequenceGap,
    TradeGap,
    Wrongness,
)
from tests.simulator.faults_base import FaultError
from tests.simulator.faults_hostile import EmptySides, FalseAnswerStyle, FalseBarStyle, FalseBookStyle, FalseRow

BLOCK_MS = 60_000
"""Schedules longer than this are drawn in parts of this length, each with its own budget."""
ROUGH_MS = 20_000
"""Faults that make a client back off stay in the first part of a block: what doubles its pauses has passed then."""
_FAULT_EVERY_MS = 2_500
_CHANNELS = ("trade", "orderbook", "ticker", "candle")
_TEMPORARY = ("60014", "60023", "63999", "64007")
"""Errors of OKX after which to ask again (sheet, section 3)."""


class Harm(Enum):
    """What a fault makes a client do; the value is how often it may in a block, so that no pause grows too long."""

    NONE = ("none", 1_000)
    RECONNECT = ("reconnect", 3)
    RESUBSCRIBE = ("resubscribe", 3)
    REST = ("rest", 4)


_Values = dict[str, object]


class _Recipe(NamedTuple):
    """How a kind is drawn.

    Attributes:
        harm: Its budget.
        for_ms: Bounds of its length; None for a moment.
        values: Its own parameters.
    """

    harm: Harm
    for_ms: tuple[int, int] | None
    values: Callable[[Random, Sequence[str]], _Values] = lambda _rng, _names: {}


def _pick(**choices: Sequence[object]) -> Callable[[Random, Sequence[str]], _Values]:
    """Parameters chosen from a few; `instrument` from those of the schedule."""

    def values(rng: Random, instruments: Sequence[str]) -> _Values:
        return {name: rng.choice(options or instruments) for name, options in choices.items()}

    return values


_ANY_INSTRUMENT: Sequence[object] = ()
_SECONDS = range(1_000, 4_001, 250)
_OFF_MS = (-1_700_000_000_000, -3_600_000, 3_600_000, 31_536_000_000, 5_400_000_000_000)
"""Times that are false by an hour, by a year, as of 1970 and as of 2200."""
_RECIPES: dict[str, _Recipe] = {
    "cut": _Recipe(Harm.RECONNECT, None),
    "slow_reader_closed": _Recipe(Harm.RECONNECT, (500, 4_000), _pick(backlog_bytes=(4_096, 16_384, 65_536))),
    "drop_on_accept": _Recipe(Harm.RECONNECT, (500, 2_000)),
    "refuse_connect": _Recipe(Harm.RECONNECT, (500, 2_000), _pick(status=(503, 502, 429))),
    "half_open": _Recipe(Harm.RECONNECT, (1_000, 8_000)),
    "planned_cut": _Recipe(Harm.RECONNECT, (100, 500), _pick(life_ms=range(0, 5_001, 500))),
    "notice": _Recipe(Harm.RECONNECT, (2_000, 6_000)),
    "mute_channel": _Recipe(Harm.RESUBSCRIBE, (500, 5_000), _pick(channel=_CHANNELS, instrument=_ANY_INSTRUMENT)),
    "mute_socket": _Recipe(Harm.RESUBSCRIBE, (500, 5_000)),
    "sequence_gap": _Recipe(Harm.RESUBSCRIBE, (1_000, 4_000), _pick(instrument=_ANY_INSTRUMENT, count=range(1, 6))),
    "trade_gap": _Recipe(Harm.REST, (1_000, 4_000), _pick(instrument=_ANY_INSTRUMENT, count=range(1, 21))),
    "duplicate": _Recipe(
        Harm.RESUBSCRIBE,
        (1_000, 4_000),
        _pick(channel=("", *_CHANNELS), instrument=_ANY_INSTRUMENT, count=range(1, 4)),
    ),
    "reorder": _Recipe(
        Harm.RESUBSCRIBE,
        (1_000, 4_000),
        _pick(channel=("", *_CHANNELS), instrument=_ANY_INSTRUMENT, count=range(1, 3)),
    ),
    "malformed": _Recipe(
        Harm.RESUBSCRIBE, (1_000, 4_000), _pick(style=get_args(Malformation), count=range(1, 3))
    ),  # random bytes end a connection, a truncated frame is a gap
    "unknown_message": _Recipe(Harm.NONE, (1_000, 5_000), _pick(style=get_args(Novelty), count=range(1, 11))),
    "late_ack": _Recipe(Harm.RECONNECT, (1_000, 5_000), _pick(delay_ms=range(100, 3_001, 100), cut_first=(True,))),
    "refuse_subscription": _Recipe(Harm.RECONNECT, (500, 3_000), _pick(code=_TEMPORARY, cut_first=(True,))),
    "clock_off": _Recipe(
        Harm.NONE, (1_000, 6_000), _pick(shift_ms=[60_000 * minutes for minutes in range(-10, 11) if minutes])
    ),
    "rest_429": _Recipe(Harm.REST, (1_000, 4_000), _pick(retry_after_s=range(1, 4))),
    "rest_418": _Recipe(Harm.REST, (1_000, 4_000), _pick(retry_after_s=range(1, 4))),
    "rest_50011": _Recipe(Harm.REST, (1_000, 4_000)),
    "rest_slow": _Recipe(Harm.NONE, (1_000, 5_000), _pick(delay_ms=range(100, 3_001, 100))),
    "rest_timeout": _Recipe(Harm.REST, (1_000, 5_000)),
    "rest_500": _Recipe(Harm.REST, (1_000, 4_000), _pick(status=(500, 502, 503, 504))),
    "rest_wrong": _Recipe(Harm.REST, (1_000, 4_000), _pick(style=get_args(Wrongness))),
    "rest_behind": _Recipe(Harm.REST, (1_000, 4_000), _pick(behind_ms=_SECONDS, instrument=_ANY_INSTRUMENT)),
    "false_trade": _Recipe(
        Harm.NONE,
        (1_000, 4_000),
        _pick(
            instrument=_ANY_INSTRUMENT,
            count=range(1, 5),
            by=(-100_000, -3_000, 3_000, 5_000, 50_000, 2 * 10**9, 10**15),
            step=(1, 7, 1_000),
            off_ms=(0, *_OFF_MS),
        ),
    ),
    "false_bar": _Recipe(
        Harm.NONE,
        (2_000, 6_000),
        _pick(
            instrument=_ANY_INSTRUMENT,
            count=range(1, 4),
            style=get_args(FalseBarStyle),
            closed=(True, False),
            bars=(2, 10, 60, 90_000_000),
        ),
    ),
    "false_time": _Recipe(
        Harm.NONE,
        (1_000, 4_000),
        _pick(channel=_CHANNELS[:3], instrument=_ANY_INSTRUMENT, count=range(1, 4), shift_ms=_OFF_MS),
    ),
    "false_name": _Recipe(
        Harm.NONE, (1_000, 4_000), _pick(channel=_CHANNELS, instrument=_ANY_INSTRUMENT, count=range(1, 4))
    ),
    "false_book": _Recipe(
        Harm.RESUBSCRIBE, (1_000, 4_000), _pick(instrument=_ANY_INSTRUMENT, style=get_args(FalseBookStyle))
    ),
    "false_refusal": _Recipe(Harm.NONE, (1_000, 4_000), _pick(count=range(1, 4))),
    "rest_false_rows": _Recipe(Harm.REST, (1_000, 4_000), _pick(style=get_args(FalseRow))),
    "rest_empty_book": _Recipe(Harm.REST, (1_000, 4_000), _pick(sides=get_args(EmptySides))),
    "rest_false_book": _Recipe(Harm.REST, (1_000, 4_000), _pick(style=get_args(FalseAnswerStyle), levels=(1, 5, 20))),
    "rest_lost": _Recipe(Harm.REST, (500, 2_000), _pick(instrument=_ANY_INSTRUMENT)),
}


def draw_schedule(
    seed: int, duration_ms: int, *, kinds: Iterable[str] = SURVIVABLE, instruments: Sequence[str] = ("",)
) -> Schedule:
    """Draw faults, about one every 2.5 s, all over by `duration_ms`.

    With each fault of REST comes the loss of a trade, or of an update of the book, so that somebody asks.

    Args:
        seed: Same seed and arguments, same schedule.
        duration_ms: > 0.
        kinds: Names of the kinds to draw from; their order does not matter.
        instruments: Ids to choose from where a fault concerns one; the empty id means all.

    Raises:
        FaultError: A kind does not exist, or there is nothing to draw from.
    """
    wanted = set(kinds)
    if unknown := wanted - set(KINDS):
        raise FaultError(f"no such kind of fault: {', '.join(sorted(unknown))}")
    if not wanted or not instruments or duration_ms <= 0:
        raise FaultError("a schedule needs kinds, instruments and a duration")
    rng = Random(f"faults:{seed}")
    faults: list[Fault] = []
    for start_ms in range(0, duration_ms, BLOCK_MS):
        length_ms = min(BLOCK_MS, duration_ms - start_ms)
        faults += _draw_block(rng, start_ms, length_ms, sorted(wanted), instruments)
    return Schedule(seed=seed, faults=tuple(sorted(faults, key=lambda fault: (fault.at_ms, fault.kind))))


def _draw_block(
    rng: Random, start_ms: int, length_ms: int, kinds: Sequence[str], instruments: Sequence[str]
) -> Iterable[Fault]:
    drawn: Counter[Harm] = Counter()
    for _ in range(max(1, length_ms // _FAULT_EVERY_MS)):
        open_kinds = [kind for kind in kinds if drawn[_RECIPES[kind].harm] < _RECIPES[kind].harm.value[1]]
        if not open_kinds:
            return
        kind = rng.choice(open_kinds)
        recipe = _RECIPES[kind]
        drawn[recipe.harm] += 1
        room_ms = length_ms if recipe.harm is Harm.NONE else min(length_ms, ROUGH_MS)
        values = recipe.values(rng, instruments)
        if recipe.for_ms is not None:
            low, high = (min(bound, room_ms) for bound in recipe.for_ms)
            values["for_ms"] = for_ms = rng.randint(low, high)
            room_ms -= for_ms
        fault = TYPES[kind](at_ms=start_ms + rng.randint(0, room_ms), **values)  # type: ignore[arg-type]
        yield fault
        if kind in ("rest_empty_book", "rest_false_book") and "sequence_gap" in kinds:
            yield SequenceGap(at_ms=fault.at_ms, for_ms=max(1, fault.length_ms), instrument=rng.choice(instruments))
        elif kind.startswith("rest_") and "trade_gap" in kinds:  # else hardly anybody would ask while REST is at fault
            yield TradeGap(at_ms=fault.at_ms, for_ms=max(1, fault.length_ms), instrument=rng.choice(instruments))
