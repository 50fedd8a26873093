"""Tests of ``collector_worker.connection.connection``."""
