"""The ledger over HTTP: pages under /sim/ that a generated market can answer."""

from __future__ import annotations

from collections.abc import Mapping

from tests.simulator.ledger import Ledger
from tests.simulator.source import Answer, envelope


def record_page(ledger: Ledger, page: str, query: Mapping[str, str]) -> Answer | None:
    """Answer one page; None if it is not one of ``trades``, ``book``, ``candles``.

    Args:
        ledger: What was generated.
        page: Last part of the path.
        query: ``instId`` always; ``after``, ``limit`` for trades; ``seqId``, ``sz`` for the book; ``bar`` for
            candles.
    """
    if page not in ("trades", "book", "candles"):
        return None
    name = query.get("instId", "")
    try:
        if page == "trades":
            return envelope(ledger.trades(name, _integer(query, "after"), _integer(query, "limit")))
        if page == "candles":
            return envelope(ledger.candles(name, query.get("bar", "1m")))
        seq = _integer(query, "seqId")
        book = ledger.book(name, seq, _integer(query, "sz") or 400)
    except KeyError as error:
        return envelope([], "51001", f"unknown: {error}")
    except ValueError as error:
        return envelope([], "51000", str(error))
    if book is None:
        return envelope([], "51000", "older than the history")
    return envelope([{"seqId": ledger.seq(name) if seq is None else seq, **book}])


def _integer(query: Mapping[str, str], name: str) -> int | None:
    return int(query[name]) if query.get(name) else None
