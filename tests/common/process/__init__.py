"""Tests of ``common.process``."""
