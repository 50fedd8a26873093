"""Tests of ``manager.cli.data``."""
