"""Tests of ``manager.model.journal_entries``."""
