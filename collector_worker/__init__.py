"""One collector: one exchange, one symbol, one process.

In come frames and REST answers of one exchange, out go entries of its streams and a heartbeat. Here are only the
process' entry, its settings and its building; what it does is in the rooms.
"""
