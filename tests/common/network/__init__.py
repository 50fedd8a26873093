"""Tests of ``common.network``."""
