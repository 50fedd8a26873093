"""Tests of what ``manager-cli tail`` shows."""
