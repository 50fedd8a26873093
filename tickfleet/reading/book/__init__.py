"""An order book built from its stream, and whether it can be trusted.

Inputs are entries and a heartbeat; outputs are levels, or a reason not to trust them. No I/O here.
"""
