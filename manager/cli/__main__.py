"""Entry of ``manager-cli``."""

import io
import sys

from manager.cli.app import app


def main() -> None:
    """Run one command and exit with its code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal may lack the letters of a symbol
    app()


if __name__ == "__main__":
    main()
