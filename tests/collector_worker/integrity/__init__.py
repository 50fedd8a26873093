"""Tests of ``collector_worker.integrity.tickers``."""
