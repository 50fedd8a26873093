"""Follows streams: where to begin, new streams, entries removed by retention, members of a group.

Inputs are stream names; outputs are raw entries and the place behind them. No code here knows event types.
"""
