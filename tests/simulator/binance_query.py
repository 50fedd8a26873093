"""Reading the parameters of a REST request, and refusing bad ones (sheet, section 3)."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

Query = Mapping[str, str]

BAD_SYMBOL = (-1121, "Invalid symbol.")
BAD_INTERVAL = (-1120, "Invalid interval.")
WRONG_STATUS = (-1220, "The symbol's status does not match the requested symbolStatus.")
_LIMIT = 500
_MAX_LIMIT = 1_000
_SYMBOLS = msgspec.json.Decoder(list[str])


class RefusedError(Exception):
    """A request that is answered with an error code.

    Args:
        code: Negative number of section 3.
        msg: Text for a person.
    """

    def __init__(self, code: int, msg: str) -> None:
        super().__init__(msg)
        self.code = code

    @property
    def body(self) -> bytes:
        """The body of the answer."""
        return msgspec.json.encode({"code": self.code, "msg": str(self)})


def reject_unknown(query: Query, known: Collection[str]) -> None:
    """Refuse parameters that the endpoint does not know."""
    read = sum(name in known for name in query)
    if read < len(query):
        msg = f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{len(query)}'."
        raise RefusedError(-1104, msg)


def required(query: Query, name: str) -> str:
    """The text of a parameter that must be there."""
    if name not in query:
        raise RefusedError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
    if not query[name]:
        raise RefusedError(-1105, f"Parameter '{name}' was empty.")
    return query[name]


def integer(query: Query, name: str) -> int | None:
    """A whole number >= 0, None if it is not asked for."""
    if name not in query:
        return None
    text = required(query, name)
    if not text.isascii() or not text.isdigit():
        raise RefusedError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'.")
    return int(text)


def limit_of(query: Query, default: int = _LIMIT, most: int = _MAX_LIMIT) -> int:
    """The number of rows asked for."""
    count = integer(query, "limit")
    if count is None:
        return default
    if not 1 <= count <= most:
        raise RefusedError(-1130, "Data sent for parameter 'limit' is not valid.")
    return count


def symbols_of(query: Query) -> list[str] | None:
    """What `symbol` or `symbols` names; None if neither is sent."""
    if "symbol" in query and "symbols" in query:
        raise RefusedError(-1128, "Combination of optional parameters invalid.")
    if "symbol" in query:
        return [required(query, "symbol")]
    if "symbols" not in query:
        return None
    try:
        return _SYMBOLS.decode(required(query, "symbols"))
    except msgspec.DecodeError as error:
        raise RefusedError(-1100, "Illegal characters found in parameter 'symbols'.") from error
