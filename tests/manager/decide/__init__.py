"""Tests of ``manager.decide``."""
