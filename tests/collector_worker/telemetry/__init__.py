"""Tests of ``collector_worker.telemetry.telemetry``."""
