"""Tests of ``manager.act``."""
