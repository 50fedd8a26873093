"""Entry of ``manager-cli``."""

from manager.cli.app import app


def main() -> None:
    """Run one command and exit with its code."""
    app()


if __name__ == "__main__":
    main()
