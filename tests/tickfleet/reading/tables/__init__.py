"""Tests of ``tickfleet.reading.tables``."""
