"""The way from an entry point to a file, room by room: ``python -m tests.house collector_worker/publish/buffer.py``."""

import sys
from pathlib import Path

import grimp

ENTRIES = (
    "collector_worker.__main__",
    "manager.__main__",
    "manager.cli.__main__",
    "manager.watchdog.__main__",
    "tickfleet",
)
PACKAGES = ("collector_worker", "manager", "common", "tickfleet")
ROOT = Path(__file__).resolve().parent.parent


def module_of(path: str) -> str:
    """The module in a file, given from the root of the checkout."""
    parts = Path(path).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    """The folder that a module is in."""
    folder = ROOT / module.replace(".", "/")
    return module if folder.is_dir() else module.rpartition(".")[0]


def purpose_of(room: str) -> str:
    """The first line of what a room says of itself."""
    text = (ROOT / room.replace(".", "/") / "__init__.py").read_text(encoding="utf-8")
    return text.removeprefix('"""').partition("\n")[0].removesuffix('"""')


def ways_to(module: str) -> list[list[str]]:
    """From each entry point that reaches a module: the modules on the shortest way, both ends included."""
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    ways = []
    for entry in ENTRIES:
        way = [entry] if entry == module else graph.find_shortest_chain(importer=entry, imported=module)
        if way:
            ways.append([*way])
    return ways


def main(path: str) -> int:
    """Print the ways to a file; returns the exit code."""
    module = module_of(path)
    if not (ROOT / path).is_file() or module.partition(".")[0] not in PACKAGES:
        known = ", ".join(PACKAGES)
        sys.stderr.write(f"{path!r} is no file of {known}; give it from the root: common/config/place.py\n")
        return 2
    for way in ways_to(module):
        for depth, each in enumerate(way):
            sys.stdout.write(f"{'  ' * depth}{each:<{60 - 2 * depth}} {purpose_of(room_of(each))}\n")
        sys.stdout.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2] or [""]))
