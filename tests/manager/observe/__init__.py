"""Tests of ``manager.observe``."""
