"""One feed: its sockets, their sessions, subscriptions and ends.

Frames come in; the adapter's outputs go to the router; every end is an error with its cause. No code here knows an
exchange's messages or Redis.
"""
