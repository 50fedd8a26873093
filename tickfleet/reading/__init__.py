"""The readers: subscriber, groups, live book, coverage, and the entries that they return.

This package turns streams into typed entries: each once, in order, with missing data marked at its place. Code that
only a collector or the manager needs does not belong here.
"""
