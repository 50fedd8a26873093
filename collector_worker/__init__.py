"""One collector: one exchange, one symbol, one process.

Inputs are frames and REST answers of one exchange; outputs are stream entries and a heartbeat. Only the process' entry
point, its settings and its assembly are here; the work is done in the subpackages.
"""
