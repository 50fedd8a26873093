"""Tests of ``tickfleet.reading.streams``."""
