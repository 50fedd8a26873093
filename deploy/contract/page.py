"""The page ``reading.md``: its text is written by hand, its programs are the files of ``snippets/``."""

import re
from pathlib import Path

_LANGUAGES = {".sh": "sh", ".py": "python", ".mjs": "js", ".go": "go"}
_PLACE = re.compile(r"^<!-- (?P<path>snippets/[\w.]+) -->\n(```\w+\n.*?^```\n)?", re.MULTILINE | re.DOTALL)


def with_programs(page: str, docs: Path) -> str:
    """The page with each program, as it is now, behind the comment that names it."""

    def program(place: re.Match[str]) -> str:
        path = docs / place["path"]
        source = path.read_text(encoding="utf-8")
        return f"<!-- {place['path']} -->\n```{_LANGUAGES[path.suffix]}\n{source}```\n"

    return _PLACE.sub(program, page)
