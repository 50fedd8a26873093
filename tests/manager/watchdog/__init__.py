"""Tests of the watcher over the manager."""
