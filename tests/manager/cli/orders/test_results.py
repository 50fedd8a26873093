import re

import pytest

from manager.cli.orders.results import Report
from manager.cli.orders.target import Result
from tickfleet.contract.identity import CollectorId

DONE = Result(id=CollectorId("okx", "BTC-USDT"), done=True, outcome="stopped after 1.2 s")
FAILED = Result(id=CollectorId("okx", "ETH-USDT"), done=False, outcome="not [bold]stopped")


def told(results: list[Result], *, as_json: bool = False) -> int:
    with Report("stop", len(results), as_json=as_json) as report:
        for result in results:
            report.add(result)
    return report.exit_code


def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)


def test_lines_as_they_come(capsys: pytest.CaptureFixture[str]) -> None:
    assert told([DONE, FAILED]) == 1
    assert capsys.readouterr().out == (
        "okx:BTC-USDT: done: stopped after 1.2 s\nokx:ETH-USDT: not done: not [bold]stopped\n"
    )


def test_a_table_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_terminal(monkeypatch)
    assert told([DONE, FAILED]) == 1
    plain = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    lines = [re.split(r" {2,}", line.strip()) for line in plain.splitlines()]
    assert lines == [
        ["collector", "outcome"],
        ["okx:BTC-USDT", "done", "stopped after 1.2 s"],
        ["okx:ETH-USDT", "not done", "not [bold]stopped"],
    ]


def test_one_is_no_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_terminal(monkeypatch)
    assert told([DONE]) == 0
    assert capsys.readouterr().out == "okx:BTC-USDT: done: stopped after 1.2 s\n"


def test_json_is_one_document(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_terminal(monkeypatch)
    assert told([DONE], as_json=True) == 0
    assert capsys.readouterr().out == (
        '{"command": "stop", "done": true, "collectors": '
        '[{"id": "okx:BTC-USDT", "done": true, "outcome": "stopped after 1.2 s"}]}\n'
    )
