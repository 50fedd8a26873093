"""Suggestions for an unknown name: the nearest known name that means the same."""

import difflib
import re
from collections.abc import Iterable

from tickfleet.contract.intervals import INTERVAL_S

_OTHER_WORDS: dict[str, tuple[str, ...]] = {
    "trade": ("publictrade", "aggtrade", "matche", "match", "fill", "execution"),
    "orderbook": ("book", "l2", "l2book", "l2update", "level2", "depth", "depthupdate", "bookdelta", "orderbookl2"),
    "ticker": ("bbo", "quote", "l1", "level1", "bookticker", "24hrticker", "miniticker"),
    "candles": ("kline", "bar", "ohlc", "ohlcv", "candlestick"),
    "debug": ("verbose", "trace"),
    "warning": ("warn",),
    "error": ("critical", "fatal"),
    "okx": ("okex",),
    "eea": ("eu", "europe"),
    "us": ("usa", "america"),
    "region": ("area", "country"),
    "data_types": ("type", "channel", "feed", "stream"),
    "candle_intervals": ("timeframe", "period"),
    "exchange": ("venue",),
    "symbol": ("pair", "instrument", "instid", "product", "market"),
    "enabled": ("active",),
    "url": ("uri", "address", "host", "dsn"),
}
"""What other programs call it, in lower case, without signs and the plural's s."""

_INTERVAL = re.compile(r"([0-9]{1,6}) ?([a-z]+?)(?:utc)?", re.ASCII)
_UNITS_S = {
    **dict.fromkeys(("s", "sec", "second"), 1),
    **dict.fromkeys(("m", "min", "minute"), 60),
    **dict.fromkeys(("h", "hr", "hour"), 3_600),
    **dict.fromkeys(("d", "day"), 86_400),
    **dict.fromkeys(("w", "week"), 604_800),
}
_SMALLEST_LIKENESS = 0.75


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``"; did you mean 'x'?"``, or empty if no known name is close; for names that we have defined."""
    known = list(known)
    rules = (
        [each for each in known if _folded(each) == _folded(name)],
        [each for each in known if _folded(name) in _OTHER_WORDS.get(each, ())],
        [each for each in known if _parts(name) and _parts(name) <= _parts(each)],
        _misspelt(name, known),
    )
    return _question(next(filter(None, rules), [])[:2])


def of_known(name: str, known: Iterable[str]) -> str:
    """As ``did_you_mean``, followed by all known names."""
    known = list(known)
    return f"{did_you_mean(name, known)} ({listed(known)})"


def listed(known: Iterable[str]) -> str:
    """``known: x, y``, or a text that there is none."""
    return f"known: {', '.join(known) or 'none'}"


def interval_of_known(name: str, known: Iterable[str]) -> str:
    """As ``of_known`` for the interval of candles: ``60min`` is ``1h``. A month is no minute, and 45 m are not 5 m."""
    known = list(known)
    found = None if name.endswith("M") else _INTERVAL.fullmatch(name.strip().lower())
    length_s = (
        int(found[1]) * _UNITS_S.get(found[2] if len(found[2]) < 3 else found[2].removesuffix("s"), 0) if found else 0
    )
    return f"{_question([each for each in known if INTERVAL_S.get(each) == length_s])} ({listed(known)})"


def same_collector(name: str, ids: Iterable[str]) -> str:
    """As ``did_you_mean`` for the id of a collector; it never suggests another asset, even if its name is similar."""
    return _question([each for each in ids if _is_same(name, each)])


def _is_same(name: str, known: str) -> bool:
    """Whether a text means that collector: with other separators, without the exchange, or with a typing error.

    A difference counts as a typing error only in the exchange, or behind the base asset: elsewhere it could mean
    another collector.
    """
    exchange, colon, symbol = name.partition(":")
    its_exchange, _, its_symbol = known.partition(":")
    if _signless(name) in (_signless(known), _signless(its_symbol), _signless(f"collector-{known}")):
        return True
    if exchange != its_exchange:
        return bool(colon and did_you_mean(exchange, [its_exchange])) and _signless(symbol) == _signless(its_symbol)
    base, *others = symbol.upper().split("-")
    its_base, *its_others = its_symbol.upper().split("-")
    return base == its_base and [*map(_slipless, others)] == [*map(_slipless, its_others)]


def _question(meant: list[str]) -> str:
    return f"; did you mean {' or '.join(map(repr, meant))}?" if meant else ""


def _misspelt(name: str, known: list[str]) -> list[str]:
    """The similar name of about the same length: a much longer name is probably another thing (``binanceus``)."""
    near = [each for each in known if abs(len(each) - len(name)) <= max(1, len(each) // 5)]
    return difflib.get_close_matches(name, near, n=1, cutoff=_SMALLEST_LIKENESS)


def _folded(name: str) -> str:
    """One form for names that differ only in case, separators and plural."""
    return re.sub(r"[^a-z0-9]", "", name.lower()).removesuffix("s")


def _parts(name: str) -> set[str]:
    return {_folded(part) for part in re.split(r"[^A-Za-z0-9]+", name)} - {""}


def _signless(name: str) -> str:
    """The letters and digits of a symbol, with our word ``PERP`` for a swap."""
    return "".join(filter(str.isalnum, re.sub(r"\bSWAP$", "PERP", name.upper())))


def _slipless(word: str) -> str:
    """One form for texts with two letters swapped or a letter typed twice; digits of a date do not count."""
    return "".join(sorted(re.sub(r"(.)\1", r"\1", word))) if word.isalpha() else word
