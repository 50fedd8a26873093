"""Tests of ``manager.report``."""
