import json
from typing import Any

import pytest

from tests.simulator.okx_channels import PUBLIC, Arg
from tests.simulator.okx_requests import REQUESTS_PER_HOUR, Accepted, Refused, Requests

_TRADES = {"channel": "trades", "instId": "BTC-USDT"}
_BOOKS = {"channel": "books", "instId": "BTC-USDT"}


def _requests() -> Requests:
    return Requests(PUBLIC, "accb8e21", lambda inst_id: inst_id == "BTC-USDT")


def _answers(requests: Requests, text: str, now_ms: int = 0) -> list[Any]:
    outcomes = requests.handle(text, now_ms)
    return [json.loads(outcome.ack if isinstance(outcome, Accepted) else outcome.error) for outcome in outcomes]


def _request(op: str, *args: object, **more: object) -> str:
    return json.dumps({"op": op, "args": args, **more})


def test_one_ack_per_arg_with_id_and_conn_id() -> None:
    requests = _requests()

    assert _answers(requests, _request("subscribe", _TRADES, _BOOKS, id="a1")) == [
        {"id": "a1", "event": "subscribe", "arg": _TRADES, "connId": "accb8e21"},
        {"id": "a1", "event": "subscribe", "arg": _BOOKS, "connId": "accb8e21"},
    ]
    assert list(requests.args) == [Arg("trades", inst_id="BTC-USDT"), Arg("books", inst_id="BTC-USDT")]


def test_ack_without_id_when_none_was_given() -> None:
    assert _answers(_requests(), _request("subscribe", _TRADES)) == [
        {"event": "subscribe", "arg": _TRADES, "connId": "accb8e21"}
    ]


def test_good_args_survive_a_bad_neighbour_and_errors_carry_no_arg() -> None:
    bad = {"channel": "trades", "instId": "NO-SUCH"}

    first, second = _answers(_requests(), _request("subscribe", bad, _TRADES, id="7"))
    assert (sorted(first), first["event"], first["code"], first["id"], first["connId"]) == (
        ["code", "connId", "event", "id", "msg"],
        "error",
        "60018",
        "7",
        "accb8e21",
    )
    assert second["event"] == "subscribe"


def test_states_change_only_once() -> None:
    requests = _requests()
    changes = [
        (outcome.on, outcome.changed)
        for op in ("subscribe", "subscribe", "unsubscribe", "unsubscribe", "subscribe")
        for outcome in requests.handle(_request(op, _TRADES), 0)
        if isinstance(outcome, Accepted)
    ]

    assert changes == [(True, True), (True, False), (False, True), (False, False), (True, True)]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("not json", "60012"),
        ("[]", "60012"),
        ("{}", "60012"),
        ('{"op":1}', "60012"),
        (_request("subscribe", _TRADES, id=5), "60012"),
        (_request("subscribe", _TRADES, id="x" * 33), "60033"),
        (_request("subscribe", _TRADES, id="a-1"), "60033"),
        (_request("fetch", _TRADES), "60019"),
        ('{"op":"subscribe"}', "60013"),
        ('{"op":"subscribe","args":[]}', "60013"),
        ('{"op":"subscribe","args":{"channel":"trades"}}', "60013"),
        ('{"op":"subscribe","args":[{"instId":"BTC-USDT"}]}', "60013"),
        ('{"op":"login","args":[{}]}', "60009"),
    ],
)
def test_bad_requests(text: str, code: str) -> None:
    (answer,) = _answers(_requests(), text)

    assert (answer["event"], answer["code"], answer["connId"]) == ("error", code, "accb8e21")


def test_480_requests_per_hour_however_many_args() -> None:
    requests = _requests()
    for second in range(REQUESTS_PER_HOUR):
        op = "subscribe" if second % 2 else "unsubscribe"
        assert all(isinstance(o, Accepted) for o in requests.handle(_request(op, _TRADES, _BOOKS), second * 1_000))

    (refused,) = requests.handle(_request("unsubscribe", _TRADES), 3_599_999)
    assert isinstance(refused, Refused)
    assert json.loads(refused.error)["code"] == "60014"
    assert Arg("trades", inst_id="BTC-USDT") in requests.args
    (accepted,) = requests.handle(_request("unsubscribe", _TRADES), 3_600_000)
    assert isinstance(accepted, Accepted)
