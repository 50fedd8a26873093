import json

import pytest
from msgspec.structs import replace

from manager.report.metrics.families import render
from manager.report.metrics.pages import Page, Pages
from manager.report.snapshot import TURNS_WITHIN_S
from manager.report.status_document import status_document
from tests.manager.fakes import ManualClock
from tests.manager.report.metrics.scene import NOW_S, snapshot

TEXT = "text/plain; charset=utf-8"


@pytest.mark.parametrize("path", ["/metrics", "/metrics?name=x"])
def test_metrics(path: str) -> None:
    assert Pages(snapshot(), ManualClock()).answer(path, "") == Page(200, *render(snapshot(), NOW_S))


def test_status_is_the_document_of_the_command() -> None:
    shown = snapshot()
    page = Pages(shown, ManualClock()).answer("/status", "")
    assert (page.status, page.content_type) == (200, "application/json")
    expected = status_document(shown.shown.judgements, shown.shown.beat, shown.figures)
    assert json.loads(page.body) == json.loads(json.dumps(expected))


@pytest.mark.parametrize(
    ("changes", "passed_s", "page"),
    [
        ({}, 0.0, Page(200, TEXT, b"ok\n")),
        ({"leading": False}, 0.0, Page(200, TEXT, b"ok: another manager acts, this one is on standby\n")),
        ({"leading": False, "rival": "another fleet"}, 0.0, Page(503, TEXT, b"another fleet\n")),
        ({}, TURNS_WITHIN_S + 1, Page(503, TEXT, b"the loop has not turned for 32 s\n")),
        ({"redis_trouble": "Redis is away"}, 0.0, Page(503, TEXT, b"Redis is away\n")),
        ({"supervisor_trouble": "supervisord is away"}, 0.0, Page(503, TEXT, b"supervisord is away\n")),
    ],
)
def test_health(changes: dict[str, object], passed_s: float, page: Page) -> None:
    shown, clock = snapshot(), ManualClock()
    shown.shown = replace(shown.shown, **changes)
    clock.move(passed_s)
    assert Pages(shown, clock).answer("/healthz", "") == page


@pytest.mark.parametrize("path", ["/", "", "/metrics/", "/../etc/passwd"])
def test_there_is_no_other_page(path: str) -> None:
    assert Pages(snapshot(), ManualClock()).answer(path, "") == Page(
        404, TEXT, b"there are /metrics /healthz /status\n"
    )
