"""Checks and reports whether the feed is alive and correct: heartbeat, silence, clocks, the instrument.

Inputs are telemetry and REST answers; outputs are the heartbeat and requests to reconnect. No code here handles items.
"""
