"""Tests of ``collector_worker.health``."""
