"""Access to Redis without a client library: address, connection, transactions, the right server.

Inputs are packed commands; outputs are replies in order, or one error of ours. No code here knows the content of keys.
"""
