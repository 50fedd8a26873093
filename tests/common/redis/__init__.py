"""Tests of ``common.redis``."""
