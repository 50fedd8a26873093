"""Tests of ``tickfleet.reading.book``."""
