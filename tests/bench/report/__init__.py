"""What becomes of a run's figures: ``docs/performance.md`` and its charts.

``python -m tests.bench.report RESULT.json`` writes the document again from a result that was kept.
"""

from pathlib import Path

from tests.bench.report.document import document
from tests.bench.report.reading import Json

DOCUMENT = "performance.md"
CHARTS = "performance"
"""The folder of the charts, beside the document."""


def write(result: Json, folder: Path) -> list[Path]:
    """Write the document into a folder and its charts into one below, which is emptied of older ones first.

    Args:
        result: The JSON document of a run.
        folder: Where to write, e.g. ``docs``.

    Returns:
        What was written.
    """
    from tests.bench.report.charts import draw  # here only: matplotlib takes a second, and few have it

    charts = draw(result)
    below = folder / CHARTS
    below.mkdir(parents=True, exist_ok=True)
    for old in below.glob("*.svg"):
        old.unlink()
    written = {below / f"{name}.svg": text for name, text in charts.items()}
    written[folder / DOCUMENT] = document(result, {name: f"{CHARTS}/{name}.svg" for name in charts})
    for path, text in written.items():
        path.write_text(text, encoding="utf-8")
    return list(written)
