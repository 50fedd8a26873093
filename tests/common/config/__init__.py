"""Tests of ``common.config.collector``."""
