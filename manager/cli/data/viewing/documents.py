"""Pure: entries as JSON objects, one per line.

``collector``, ``stream`` (``trade``, ``candles:1m`` …), ``id`` and ``type``, then the fields of the entry: decimals
are strings, times integers (ns), levels lists. As in the stream, a field that the exchange did not give is absent.
"""

from typing import Any

import msgspec

from manager.cli.data.selection import LEDGER
from manager.cli.data.viewing.ledgers import LedgerRow
from manager.model.formatting import OBEYED
from tickfleet.contract.identity import CollectorId
from tickfleet.reading.entries import Entry

_encode = msgspec.json.Encoder().encode


def entry_json(entry: Entry) -> str:
    """An entry of a data stream; of ``missed`` the ``id`` is that of the entry before."""
    interval = f":{entry.interval}" if entry.interval else ""
    fields: dict[str, Any] = msgspec.to_builtins(entry.event)
    return _line(entry.collector, entry.data_type.value + interval, entry.id, fields)


def ledger_json(row: LedgerRow) -> str:
    """An entry of a completeness ledger."""
    fields = {"type": LEDGER, **msgspec.to_builtins(row.entry)}
    return _line(row.collector, LEDGER, row.id, fields)


def _line(collector: CollectorId, stream: str, entry_id: str, fields: dict[str, Any]) -> str:
    kind = fields.pop("type")
    said = {name: value for name, value in fields.items() if value is not None}
    document = _encode({"collector": str(collector), "stream": stream, "id": entry_id, "type": kind, **said}).decode()
    # JSON allows some of these as they are
    return OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", document)
