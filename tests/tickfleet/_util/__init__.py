"""Tests of ``tickfleet._util``."""
