"""Decides what goes into the streams: each item once, in order, or a gap at its place.

Inputs are adapters' events and REST answers; outputs are events for the publisher and entries for the ledger. No
sockets here; the time is an argument.
"""
