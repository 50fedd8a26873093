"""Tests of manager-cli doctor."""
