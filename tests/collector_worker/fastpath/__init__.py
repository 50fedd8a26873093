"""Tests of ``collector_worker.fastpath``, file by file; ``native.pyx`` has two."""
