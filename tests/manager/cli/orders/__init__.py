"""Tests of ``manager.cli.orders.orders``."""
