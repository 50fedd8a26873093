"""Whether the feed is alive and true, and the saying of it: heartbeat, silence, clocks, the instrument.

In come telemetry and answers of REST, out go the heartbeat and requests for a reconnect. Nothing that touches items
may come in.
"""
