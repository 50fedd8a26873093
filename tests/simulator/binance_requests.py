"""What Binance answers to the requests of one connection (sheet, section 3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

MAX_STREAMS = 1_024
"""Streams per connection (section 2)."""
_MAX_ID_LENGTH = 36
_METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")

Id = int | str | None


class _RefusedError(Exception):
    """A request that is answered with a code of section 3."""

    def __init__(self, code: int, msg: str) -> None:
        super().__init__(msg)
        self.code = code


class Requests:
    """Judges requests and remembers what is subscribed.

    A stream that does not exist is subscribed like any other: no error, and no data ever (section 3).

    Args:
        streams: Names subscribed by the URL.
        combined: Whether frames are wrapped with their stream's name.
    """

    def __init__(self, streams: Iterable[str], *, combined: bool) -> None:
        self.streams = dict.fromkeys(streams)
        """Names subscribed, in order."""
        self.combined = combined
        self._methods: dict[str, Callable[[object], object]] = {
            "SUBSCRIBE": self._subscribe,
            "UNSUBSCRIBE": self._unsubscribe,
            "LIST_SUBSCRIPTIONS": lambda _: list(self.streams),
            "SET_PROPERTY": self._set_property,
            "GET_PROPERTY": self._get_property,
        }

    def answer(self, text: str | bytes) -> bytes:
        """Carry out one request frame; returns its only answer."""
        try:
            request = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return msgspec.json.encode({"code": 3, "msg": "Invalid JSON: expected value at line 1 column 1"})
        number: Id = None
        try:
            if not isinstance(request, dict):
                raise _invalid("expected a map")
            number = _id_of(request)
            result = self._method(request)(request.get("params"))
        except _RefusedError as refusal:
            return msgspec.json.encode({"code": refusal.code, "msg": str(refusal), "id": number})
        return msgspec.json.encode({"result": result, "id": number})

    def _method(self, request: dict[str, object]) -> Callable[[object], object]:
        if "method" not in request:
            raise _invalid("missing field `method`")
        method = request["method"]
        if not isinstance(method, str) or method not in self._methods:
            raise _invalid(f"unknown variant `{method}`, expected one of {', '.join(f'`{m}`' for m in _METHODS)}")
        return self._methods[method]

    def _subscribe(self, params: object) -> None:
        names = _names(params)
        if len(self.streams.keys() | names) > MAX_STREAMS:
            raise _invalid("too many parameters")
        self.streams.update(dict.fromkeys(names))

    def _unsubscribe(self, params: object) -> None:
        for stream in _names(params):
            self.streams.pop(stream, None)

    def _set_property(self, params: object) -> None:
        match params:
            case ["combined", bool(value)]:
                self.combined = value
            case ["combined", _]:
                raise _RefusedError(1, "Invalid value type: expected Boolean")
            case _:
                raise _property_error(params)

    def _get_property(self, params: object) -> bool:
        if params != ["combined"]:
            raise _property_error(params)
        return self.combined


def _id_of(request: dict[str, object]) -> Id:
    match request.get("id"):
        case None:
            return None
        case bool():
            pass
        case int(number) if -(2**63) <= number < 2**63:
            return number
        case str(text) if text.isascii() and text.isalnum() and len(text) <= _MAX_ID_LENGTH:
            return text
    raise _invalid("request ID must be a 64-bit integer, an alphanumeric string of up to 36 characters or null")


def _names(params: object) -> list[str]:
    if params is None:
        raise _invalid("missing field `params`")
    if not isinstance(params, list) or not params or not all(isinstance(stream, str) for stream in params):
        raise _invalid("params must be stream names")
    return params


def _property_error(params: object) -> _RefusedError:
    match params:
        case [str(), _] | [str()]:
            return _RefusedError(0, "Unknown property")
        case list():
            return _invalid("property name must be a string")
        case _:
            return _invalid("missing field `params`")


def _invalid(why: str) -> _RefusedError:
    return _RefusedError(2, f"Invalid request: {why}")
