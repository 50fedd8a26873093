"""Pure: which page answers which request."""

import json
from collections.abc import Callable

from msgspec import Struct

from manager.report.metrics.families import render
from manager.report.snapshot import Snapshot, why_unwell
from manager.report.status_document import status_document
from tickfleet._util.clock import Clock

_TEXT = "text/plain; charset=utf-8"


class Page(Struct, frozen=True):
    """An answer of HTTP."""

    status: int
    content_type: str
    body: bytes


class Pages:
    """The pages of one board. They are made in the thread of the one who asks, so the loop does not wait."""

    def __init__(self, snapshot: Snapshot, clock: Clock) -> None:
        self._snapshot, self._clock = snapshot, clock
        self._pages: dict[str, Callable[[str], Page]] = {
            "/metrics": self._metrics,
            "/healthz": self._health,
            "/status": self._status,
        }

    def answer(self, path: str, accept: str) -> Page:
        """The page at a path; ``accept`` is the header of that name."""
        page = self._pages.get(path.partition("?")[0])
        if page is None:
            return Page(404, _TEXT, f"there are {' '.join(self._pages)}\n".encode())
        return page(accept)

    def _metrics(self, accept: str) -> Page:
        return Page(200, *render(self._snapshot, self._clock.monotonic_s(), accept))

    def _health(self, _accept: str) -> Page:
        shown = self._snapshot.shown
        why = why_unwell(shown, self._clock.monotonic_s())
        if why:
            return Page(503, _TEXT, f"{why}\n".encode())
        return Page(200, _TEXT, b"ok\n" if shown.leading else b"ok: another manager acts, this one is on standby\n")

    def _status(self, _accept: str) -> Page:
        shown = self._snapshot.shown
        document = status_document(shown.judgements, shown.beat, self._snapshot.figures)
        return Page(200, "application/json", json.dumps(document).encode() + b"\n")
