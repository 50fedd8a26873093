"""What only the two processes share: configuration, Redis as its operator sees it, how a process lives.

Nothing that a reader of the streams needs may come in: that is ``tickfleet``.
"""
