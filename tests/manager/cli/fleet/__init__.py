"""Tests of ``manager.cli.fleet``."""
