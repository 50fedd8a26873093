import sys
from pathlib import Path

import pytest

from tickfleet.reading.tables import extras


def test_what_is_there_is_loaded() -> None:
    assert extras.load("pyarrow") is sys.modules["pyarrow"]


@pytest.mark.parametrize(("library", "extra"), [("pandas", "pandas"), ("polars", "polars"), ("pyarrow", "parquet")])
def test_what_is_not_there_is_said_with_its_extra(library: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ModuleNotFoundError) as caught:
        extras.load(library)
    assert str(caught.value) == f"{library} is not installed; it comes with: pip install 'tickfleet[{extra}]'"


def test_a_library_that_lacks_something_itself_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pandas.py").write_text("import nothing_of_this_name", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "pandas", raising=False)
    with pytest.raises(ModuleNotFoundError, match="nothing_of_this_name"):
        extras.load("pandas")
