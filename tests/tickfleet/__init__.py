"""Tests of ``tickfleet``."""
