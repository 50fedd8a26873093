"""Tests of ``tickfleet.redis``."""
