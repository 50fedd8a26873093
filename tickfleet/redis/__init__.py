"""The way to Redis without a client library: address, connection, transactions, the right server.

In come packed commands, out come replies in their order or one error of ours. Nothing that knows what the keys hold
may come in.
"""
