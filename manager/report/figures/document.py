"""The document with all figures, as it is in Redis and in ``status --json``."""

import msgspec
from msgspec import Struct

from manager.report.figures.collectors import CollectorFigures, Totals
from manager.report.figures.forecast import MemoryForecast
from manager.report.figures.system import SystemFigures


class Figures(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All of one survey. ``memory`` is absent while Redis does not tell."""

    at: int
    totals: Totals
    system: SystemFigures
    collectors: dict[str, CollectorFigures]
    memory: MemoryForecast | None = None


def read_figures(text: object) -> Figures | None:
    """The figures in the key, or None where there are none; anybody may have written it."""
    if not isinstance(text, str):
        return None
    try:
        return msgspec.json.decode(text, type=Figures)
    except msgspec.MsgspecError:
        return None
