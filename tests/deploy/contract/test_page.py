from pathlib import Path

from deploy.contract.__main__ import DOCS, PAGE
from deploy.contract.page import with_programs

BARE = "One:\n\n<!-- snippets/a.sh -->\n\nTwo:\n\n<!-- snippets/b.py -->\n"
FILLED = """One:

<!-- snippets/a.sh -->
```sh
echo '\\1'
```

Two:

<!-- snippets/b.py -->
```python
print()
```
"""


def test_programs_stand_where_they_are_named(tmp_path: Path) -> None:
    (tmp_path / "snippets").mkdir()
    (tmp_path / "snippets" / "a.sh").write_text("echo '\\1'\n", encoding="utf-8")
    (tmp_path / "snippets" / "b.py").write_text("print()\n", encoding="utf-8")
    assert with_programs(BARE, tmp_path) == FILLED
    assert with_programs(FILLED, tmp_path) == FILLED


def test_the_page_has_every_program_as_it_is() -> None:
    """``make contract`` renews them."""
    page = PAGE.read_text(encoding="utf-8")
    assert with_programs(page, DOCS) == page
    programs = {path.name for path in (DOCS / "snippets").iterdir() if path.suffix != ".json"}
    assert [name for name in sorted(programs) if f"<!-- snippets/{name} -->\n```" not in page] == []
