"""How streams are followed: where to begin, which have appeared, what retention removed, members of a group.

In come names of streams, out come raw entries with the place behind them. No type of event may come in.
"""
