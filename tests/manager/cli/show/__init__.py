"""Tests of ``manager.cli.show``."""
