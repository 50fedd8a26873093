"""Tests of what ``manager-cli export`` writes."""
