"""Tests of ``manager.model``."""
