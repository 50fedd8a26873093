"""Tests of ``manager.desired.overrides``."""
