"""Fault schedules against a real collector, and the comparison of its streams with the exchange's own record."""
