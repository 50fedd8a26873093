"""Tests of ``collector_worker``, file by file."""
