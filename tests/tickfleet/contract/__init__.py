"""Tests of ``tickfleet.contract``."""
