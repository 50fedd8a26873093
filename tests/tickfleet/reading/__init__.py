"""Tests of ``common.reading``."""
