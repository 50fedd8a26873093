"""One collector: one exchange, one symbol, one process."""
