"""An order book as its stream tells it, and whether it may be believed.

In come entries and a heartbeat, out come levels or a reason not to believe them. No I/O may come in.
"""
