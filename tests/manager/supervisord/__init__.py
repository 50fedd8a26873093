"""Tests of ``manager.supervisord``."""
