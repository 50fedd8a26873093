"""One feed: its sockets, their sessions, subscriptions and ends.

In come frames, out go the adapter's outputs into the router; every end is an error with its cause. Nothing that knows
an exchange's messages or Redis may come in.
"""
