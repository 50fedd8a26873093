"""Tests of ``collector_worker.recovery``."""
