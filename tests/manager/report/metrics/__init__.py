"""Tests of what the manager shows over HTTP."""
