"""Tests of ``collector_worker.rest.http``."""
