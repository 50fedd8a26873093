"""Tests of ``collector_worker.express``, file by file; ``native.pyx`` has two."""
