import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.simulator.binance_requests import MAX_STREAMS, Requests


def _ask(requests: Requests, **request: object) -> Any:
    return json.loads(requests.answer(json.dumps(request)))


def test_subscriptions_are_listed_in_order() -> None:
    requests = Requests(["a@trade"], combined=False)

    assert _ask(requests, method="SUBSCRIBE", params=["b@depth", "a@trade"], id=1) == {"result": None, "id": 1}
    assert _ask(requests, method="LIST_SUBSCRIPTIONS", id="x9") == {"result": ["a@trade", "b@depth"], "id": "x9"}
    assert _ask(requests, method="UNSUBSCRIBE", params=["a@trade", "never"], id=None) == {"result": None, "id": None}
    assert list(requests.streams) == ["b@depth"]


@pytest.mark.parametrize("stream", ["btcusdt@depth@100mss", "nosuchusdt@trade", "BTCUSDT@trade", "x"])
def test_wrong_names_are_acknowledged(stream: str) -> None:
    assert _ask(Requests([], combined=True), method="SUBSCRIBE", params=[stream], id=7) == {"result": None, "id": 7}


def test_combined_is_a_property() -> None:
    requests = Requests([], combined=False)

    assert _ask(requests, method="GET_PROPERTY", params=["combined"], id=1) == {"result": False, "id": 1}
    assert _ask(requests, method="SET_PROPERTY", params=["combined", True], id=2) == {"result": None, "id": 2}
    assert (_ask(requests, method="GET_PROPERTY", params=["combined"], id=3)["result"], requests.combined) == (
        True,
        True,
    )


@pytest.mark.parametrize(
    ("request_", "code", "number"),
    [
        ({"method": "GET_PROPERTY", "params": ["other"], "id": 1}, 0, 1),
        ({"method": "SET_PROPERTY", "params": ["other", True], "id": 1}, 0, 1),
        ({"method": "SET_PROPERTY", "params": ["combined", "yes"], "id": 1}, 1, 1),
        ({"method": "SET_PROPERTY", "params": [1, True], "id": 1}, 2, 1),
        ({"method": "SET_PROPERTY", "id": 1}, 2, 1),
        ({"method": "LOGIN", "id": 1}, 2, 1),
        ({"params": ["a@trade"], "id": 1}, 2, 1),
        ({"method": "SUBSCRIBE", "id": 1}, 2, 1),
        ({"method": "SUBSCRIBE", "params": [], "id": 1}, 2, 1),
        ({"method": "SUBSCRIBE", "params": [1], "id": 1}, 2, 1),
        ({"method": "SUBSCRIBE", "params": "a@trade", "id": 1}, 2, 1),
        ({"method": "LIST_SUBSCRIPTIONS", "id": 1.5}, 2, None),
        ({"method": "LIST_SUBSCRIPTIONS", "id": True}, 2, None),
        ({"method": "LIST_SUBSCRIPTIONS", "id": 2**63}, 2, None),
        ({"method": "LIST_SUBSCRIPTIONS", "id": "a-b"}, 2, None),
        ({"method": "LIST_SUBSCRIPTIONS", "id": "a" * 37}, 2, None),
        ({"method": "LIST_SUBSCRIPTIONS", "id": [1]}, 2, None),
        ([1], 2, None),
    ],
)
def test_errors(request_: object, code: int, number: int | None) -> None:
    requests = Requests(["a@trade"], combined=False)
    answer = json.loads(requests.answer(json.dumps(request_)))

    assert (sorted(answer), answer["code"], answer["id"]) == (["code", "id", "msg"], code, number)
    assert (list(requests.streams), requests.combined) == (["a@trade"], False)


def test_what_is_not_json_has_code_3() -> None:
    for text in ("{", b"\xff\xfe", "ping", ""):
        assert json.loads(Requests([], combined=False).answer(text))["code"] == 3


def test_a_connection_has_at_most_1024_streams() -> None:
    requests = Requests((f"{n}@trade" for n in range(MAX_STREAMS - 1)), combined=False)

    assert _ask(requests, method="SUBSCRIBE", params=["a@trade", "b@trade"], id=1)["code"] == 2
    assert len(requests.streams) == MAX_STREAMS - 1
    assert _ask(requests, method="SUBSCRIBE", params=["a@trade", "0@trade"], id=2) == {"result": None, "id": 2}


@given(st.one_of(st.text(), st.binary()))
def test_any_frame_has_one_answer(text: str | bytes) -> None:
    answer = json.loads(Requests([], combined=False).answer(text))
    assert "id" in answer or answer["code"] == 3
