"""Tests of ``collector_worker.publish``."""
