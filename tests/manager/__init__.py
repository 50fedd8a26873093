"""Tests of the manager, mirroring its modules."""
