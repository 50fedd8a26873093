"""Tests of manager-cli, mirroring its modules."""
